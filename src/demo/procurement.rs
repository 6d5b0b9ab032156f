//! Purchase orders, what suppliers acknowledged, what arrived, and the suppliers' invoices.

use super::DemoCompany;
use super::catalogue::GOOD_SUPPLIERS;
use super::dice::Dice;
use super::orders::VAT_PERCENT;
use super::rows::{
    Acknowledgement, PurchaseOrder, PurchaseOrderLine, Receipt, ReceiptLine, SupplierInvoice, SupplierInvoiceLine,
};
use super::slots::{Slot, Slots};
use super::value::{Cents, at, day};
use super::words::{BUYERS, WAREHOUSES};

const FIRST_RECEIPT: usize = 80_001;
const FIRST_SUPPLIER_INVOICE: usize = 90_001;

/// Fills every place that no planted case took, then writes the supplier invoices.
pub(super) fn fill(company: &mut DemoCompany, slots: Slots, dice: &mut Dice) {
    for slot in slots.rest() {
        let supplier = dice.below(GOOD_SUPPLIERS);
        let mut po = compose(company, slot, supplier, dice);
        let due_ago = slot.ago - company.suppliers[supplier].lead_time_days;
        if due_ago >= 1 {
            acknowledge(company, &mut po, slot.ago - 1);
            let full: Vec<(i64, i64)> = po.lines.iter().map(|line| (line.quantity, 0)).collect();
            receive(company, &mut po, due_ago, &full, "");
        } else if slot.ago >= 2 {
            acknowledge(company, &mut po, 1.max(slot.ago - 1));
        }
        company.purchase_orders.push(po);
    }
    company.purchase_orders.sort_by(|a, b| a.po_number.cmp(&b.po_number));
    company.acknowledgements.sort_by(|a, b| a.po_number.cmp(&b.po_number));
    company.receipts.sort_by(|a, b| (a.received_on, &a.po_number).cmp(&(b.received_on, &b.po_number)));
    for (index, receipt) in company.receipts.iter_mut().enumerate() {
        receipt.receipt_id = format!("GR-{}", FIRST_RECEIPT + index);
        for line in &mut receipt.lines {
            line.receipt_id.clone_from(&receipt.receipt_id);
        }
    }
    write_invoices(company);
}

/// A sent purchase order over one to three products of the supplier, due after its lead time.
pub(super) fn compose(company: &DemoCompany, slot: Slot, supplier: usize, dice: &mut Dice) -> PurchaseOrder {
    let vendor = &company.suppliers[supplier];
    let own: Vec<usize> = (0..company.products.len())
        .filter(|&index| company.products[index].supplier_id == vendor.supplier_id)
        .collect();
    // A trader is a second source for some of everybody's.
    let range = if own.is_empty() { (0..company.products.len()).step_by(9).collect() } else { own };
    let po_number = format!("PO-{}", slot.number);
    let count = dice.between(1, 3) as usize;
    let lines: Vec<PurchaseOrderLine> = dice
        .distinct(count, range.len())
        .into_iter()
        .enumerate()
        .map(|(index, choice)| {
            let product = &company.products[range[choice]];
            let quantity = dice.between(4, 16) * 5;
            PurchaseOrderLine {
                po_number: po_number.clone(),
                line_no: index as i64 + 1,
                sku: product.sku.clone(),
                description: product.name.clone(),
                quantity,
                unit_price: product.unit_cost,
                line_total: product.unit_cost.times(quantity),
                received_quantity: None,
                rejected_quantity: None,
                product: range[choice],
            }
        })
        .collect();
    let mut po = PurchaseOrder {
        po_number,
        supplier_id: vendor.supplier_id.clone(),
        supplier_name: vendor.name.clone(),
        warehouse: dice.pick(&WAREHOUSES),
        ordered_on: day(company.as_of, slot.ago),
        expected_on: day(company.as_of, slot.ago - vendor.lead_time_days),
        status: "sent",
        subtotal: Cents(0),
        tax: Cents(0),
        freight: Cents(dice.between(3, 12) * 1_000),
        total: Cents(0),
        currency: "EUR",
        buyer: dice.pick(&BUYERS),
        updated_at: at(company.as_of, slot.ago, slot.hour, slot.minute),
        lines,
        received_ago: None,
        staged: false,
    };
    total_up(&mut po);
    po
}

pub(super) fn total_up(po: &mut PurchaseOrder) {
    for line in &mut po.lines {
        line.line_total = line.unit_price.times(line.quantity);
    }
    po.subtotal = po.lines.iter().map(|line| line.line_total).sum();
    po.tax = (po.subtotal + po.freight).percent(VAT_PERCENT);
    po.total = po.subtotal + po.freight + po.tax;
}

/// The supplier confirmed the order and its date.
pub(super) fn acknowledge(company: &mut DemoCompany, po: &mut PurchaseOrder, ago: i64) {
    po.status = "acknowledged";
    po.updated_at = at(company.as_of, ago, 11, 0);
    company.acknowledgements.push(Acknowledgement {
        ack_id: po.po_number.replace("PO-", "ACK-"),
        po_number: po.po_number.clone(),
        supplier_id: po.supplier_id.clone(),
        acknowledged_on: day(company.as_of, ago),
        status: "accepted",
        confirmed_on: Some(po.expected_on),
        note: "",
    });
}

/// Goods arrive; `outcome` holds received and, of those, rejected units per line.
pub(super) fn receive(
    company: &mut DemoCompany,
    po: &mut PurchaseOrder,
    ago: i64,
    outcome: &[(i64, i64)],
    reason: &'static str,
) {
    po.status = "received";
    po.received_ago = Some(ago);
    po.updated_at = at(company.as_of, ago, 13, 30);
    let mut lines = Vec::new();
    for (line, &(received, rejected)) in po.lines.iter_mut().zip(outcome) {
        line.received_quantity = Some(received);
        line.rejected_quantity = Some(rejected);
        lines.push(ReceiptLine {
            receipt_id: String::new(),
            po_line_no: line.line_no,
            sku: line.sku.clone(),
            received_quantity: received,
            rejected_quantity: rejected,
            reject_reason: if rejected > 0 { reason } else { "" },
        });
    }
    company.receipts.push(Receipt {
        receipt_id: String::new(),
        po_number: po.po_number.clone(),
        supplier_id: po.supplier_id.clone(),
        warehouse: po.warehouse,
        received_on: day(company.as_of, ago),
        delivery_note: po.po_number.replace("PO-7", "LS-4"),
        lines,
    });
}

/// One invoice the day after each complete receipt that is at least two days old.
fn write_invoices(company: &mut DemoCompany) {
    let mut bills = Vec::new();
    for po in &company.purchase_orders {
        let Some(received_ago) = po.received_ago.filter(|&ago| ago >= 2 && !po.staged) else { continue };
        let terms =
            company.suppliers.iter().find(|s| s.supplier_id == po.supplier_id).map_or(30, |s| s.payment_terms_days);
        let invoiced_ago = received_ago - 1;
        let due_ago = invoiced_ago - terms;
        let status = if due_ago >= 0 { "paid" } else { "matched" };
        bills.push(SupplierInvoice {
            invoice_id: String::new(),
            supplier_invoice_number: format!(
                "{}-{}",
                po.supplier_id.replace("S-5", "R"),
                po.po_number.replace("PO-", "2")
            ),
            supplier_id: po.supplier_id.clone(),
            po_number: po.po_number.clone(),
            invoiced_on: dotted(company, invoiced_ago),
            due_on: dotted(company, due_ago),
            subtotal: po.subtotal,
            tax: po.tax,
            freight: po.freight,
            total: po.total,
            status,
            currency: "EUR",
            lines: po.lines.iter().map(invoice_line).collect(),
            invoiced_ago,
        });
    }
    bills.sort_by(|a, b| (-a.invoiced_ago, &a.po_number).cmp(&(-b.invoiced_ago, &b.po_number)));
    for (index, bill) in bills.iter_mut().enumerate() {
        rename(bill, format!("SI-{}", FIRST_SUPPLIER_INVOICE + index));
    }
    company.supplier_invoices = bills;
}

fn invoice_line(line: &PurchaseOrderLine) -> SupplierInvoiceLine {
    SupplierInvoiceLine {
        invoice_id: String::new(),
        line_no: line.line_no,
        po_line_no: line.line_no,
        sku: line.sku.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        line_total: line.line_total,
    }
}

/// Gives the invoice and its lines an id.
pub(super) fn rename(bill: &mut SupplierInvoice, id: String) {
    for line in &mut bill.lines {
        line.invoice_id.clone_from(&id);
    }
    bill.invoice_id = id;
}

/// A date as the supplier invoice export writes it: day.month.year.
pub(super) fn dotted(company: &DemoCompany, ago: i64) -> String {
    day(company.as_of, ago).strftime("%d.%m.%Y").to_string()
}
