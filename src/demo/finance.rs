//! Customer invoices, and the payments and remittances that settle them.

use super::DemoCompany;
use super::customers::CONSUMERS;
use super::dice::Dice;
use super::orders::VAT_PERCENT;
use super::rows::{CustomerInvoice, Payment, Remittance, RemittanceLine};
use super::value::{Cents, at, day, days_ago};

const FIRST_INVOICE: usize = 300_001;
const FIRST_PAYMENT: usize = 610_001;
const FIRST_REMITTANCE: usize = 3_001;

/// One invoice per order that has shipped, over what was shipped, on the day of the first shipment.
pub(super) fn write_invoices(company: &mut DemoCompany) {
    let mut invoices = Vec::new();
    for order in &company.orders {
        let Some(shipped_ago) = order.shipped_ago.filter(|_| !order.uninvoiced) else { continue };
        let terms = company.customers[order.customer].payment_terms_days;
        let subtotal: Cents = order.lines.iter().map(|line| line.unit_price.times(line.shipped_quantity)).sum();
        let tax = (subtotal + order.shipping).percent(VAT_PERCENT);
        let total = subtotal + order.shipping + tax;
        invoices.push(CustomerInvoice {
            invoice_number: String::new(),
            order_id: order.order_id.clone(),
            customer_id: order.customer_id.clone(),
            invoiced_on: day(company.as_of, shipped_ago),
            due_on: day(company.as_of, shipped_ago - terms),
            subtotal,
            shipping: order.shipping,
            tax,
            total,
            paid_amount: Cents(0),
            credited_amount: Cents(0),
            open_amount: total,
            status: "open",
            currency: "EUR",
            updated_at: at(company.as_of, shipped_ago, 17, 0),
            left_open: false,
        });
    }
    invoices.sort_by(|a, b| (a.invoiced_on, &a.order_id).cmp(&(b.invoiced_on, &b.order_id)));
    for (index, invoice) in invoices.iter_mut().enumerate() {
        invoice.invoice_number = format!("INV-{}", FIRST_INVOICE + index);
    }
    company.customer_invoices = invoices;
}

/// A transfer over one or two invoices (indices), `ago` days ago, announced or not.
struct Transfer {
    ago: i64,
    invoices: Vec<usize>,
    announced: bool,
}

/// Consumers paid with the order; trade customers pay before the due date, some of them early.
pub(super) fn collect(company: &mut DemoCompany, dice: &mut Dice) {
    let mut payments: Vec<(i64, Payment)> = consumer_payments(company);
    let mut transfers = trade_transfers(company, dice);
    transfers.sort_by_key(|transfer| (-transfer.ago, transfer.invoices.clone()));
    for transfer in transfers {
        let payment = pay(company, &transfer, dice);
        payments.push((transfer.ago, payment));
    }
    payments
        .sort_by(|a, b| (-a.0, &a.1.order_id, &a.1.bank_reference).cmp(&(-b.0, &b.1.order_id, &b.1.bank_reference)));
    for (index, (_, mut payment)) in payments.into_iter().enumerate() {
        payment.payment_id = format!("PAY-{}", FIRST_PAYMENT + index);
        company.payments.push(payment);
    }
}

fn consumer_payments(company: &mut DemoCompany) -> Vec<(i64, Payment)> {
    let mut payments = Vec::new();
    for order in company.orders.iter().filter(|order| order.customer < CONSUMERS && order.payment_status != "failed") {
        let invoice = company.customer_invoices.iter_mut().find(|invoice| invoice.order_id == order.order_id);
        let mut payment =
            blank_payment(&order.customer_id, order.payment_method, day(company.as_of, order.ago), order.total);
        payment.order_id.clone_from(&order.order_id);
        payment.bank_reference = format!("PSP{}", &order.order_id[3..]);
        if let Some(invoice) = invoice {
            payment.invoice_number.clone_from(&invoice.invoice_number);
            mark_paid(invoice);
        }
        payments.push((order.ago, payment));
    }
    payments
}

/// A payment that is fully applied.
pub(super) fn blank_payment(
    customer_id: &str,
    method: &'static str,
    received_on: jiff::civil::Date,
    amount: Cents,
) -> Payment {
    Payment {
        payment_id: String::new(),
        customer_id: customer_id.to_owned(),
        order_id: String::new(),
        invoice_number: String::new(),
        remittance_id: String::new(),
        method,
        received_on,
        amount,
        applied_amount: amount,
        unapplied_amount: Cents(0),
        status: "cleared",
        bank_reference: String::new(),
        currency: "EUR",
    }
}

fn mark_paid(invoice: &mut CustomerInvoice) {
    invoice.paid_amount = invoice.total;
    invoice.open_amount = Cents(0);
    invoice.status = "paid";
}

fn trade_transfers(company: &DemoCompany, dice: &mut Dice) -> Vec<Transfer> {
    let mut transfers: Vec<Transfer> = Vec::new();
    for customer in &company.customers[CONSUMERS..] {
        // The last transfer of this customer, while it covers a single invoice.
        let mut joinable: Option<usize> = None;
        for (index, invoice) in company.customer_invoices.iter().enumerate() {
            if invoice.customer_id != customer.customer_id || invoice.left_open {
                continue;
            }
            let invoiced_ago = days_ago(company.as_of, invoice.invoiced_on);
            let due_ago = invoiced_ago - customer.payment_terms_days;
            let early = due_ago < 0;
            if early && (invoiced_ago < 3 || !dice.chance(40)) {
                continue;
            }
            let latest = if early { dice.between(1, invoiced_ago - 1) } else { due_ago.max(1) + dice.between(0, 4) };
            let ago = latest.min(invoiced_ago);
            if let Some(previous) = joinable.filter(|&at| transfers[at].ago <= invoiced_ago && dice.chance(60)) {
                transfers[previous].invoices.push(index);
                transfers[previous].announced = true;
                joinable = None;
            } else {
                transfers.push(Transfer { ago, invoices: vec![index], announced: early || dice.chance(40) });
                joinable = Some(transfers.len() - 1);
            }
        }
    }
    transfers
}

/// Books one transfer and, if announced, its remittance advice of the day before or the same day.
fn pay(company: &mut DemoCompany, transfer: &Transfer, dice: &mut Dice) -> Payment {
    let first = &company.customer_invoices[transfer.invoices[0]];
    let customer_id = first.customer_id.clone();
    let amount: Cents = transfer.invoices.iter().map(|&index| company.customer_invoices[index].total).sum();
    let mut payment = blank_payment(&customer_id, "bank transfer", day(company.as_of, transfer.ago), amount);
    payment.bank_reference = format!("SCT{:08}", dice.below(100_000_000));
    if let [only] = transfer.invoices[..] {
        payment.invoice_number.clone_from(&company.customer_invoices[only].invoice_number);
    }
    if transfer.announced {
        let remittance_id = format!("RA-{}", FIRST_REMITTANCE + company.remittances.len());
        payment.remittance_id.clone_from(&remittance_id);
        let lines = transfer.invoices.iter().map(|&index| RemittanceLine {
            remittance_id: remittance_id.clone(),
            invoice_number: company.customer_invoices[index].invoice_number.clone(),
            amount: company.customer_invoices[index].total,
        });
        let lines: Vec<RemittanceLine> = lines.collect();
        let advised_on = day(company.as_of, transfer.ago);
        company.remittances.push(Remittance { remittance_id, customer_id, advised_on, amount, currency: "EUR", lines });
    }
    for &index in &transfer.invoices {
        mark_paid(&mut company.customer_invoices[index]);
    }
    payment
}
