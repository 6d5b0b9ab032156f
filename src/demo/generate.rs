//! The order in which the demo company comes into being, and the files it becomes.
//!
//! Planted cases are staged before the ordinary business of the same domain, so that they get document numbers in date
//! order; each domain draws from its own stream of the seed.

use jiff::civil::Date;

use super::dice::Dice;
use super::planted::Planted;
use super::rows::*;
use super::slots::Slots;
use super::value::{csv_bytes, ndjson_bytes};
use super::{catalogue, customers, finance, fulfilment, orders, plant, procurement, prose, returns, stock, tickets};

/// The seed `make demo` uses and `questions.json` was written for.
pub const DEFAULT_SEED: u64 = 1042;
const ORDERS: usize = 2_000;
const ORDER_DAYS: i64 = 200;
const ORDER_RUSH_PERCENT: usize = 5;
const FIRST_ORDER: usize = 104_001;
const PURCHASE_ORDERS: usize = 210;
const PURCHASE_DAYS: i64 = 200;
const FIRST_PURCHASE_ORDER: usize = 70_001;

/// All records of the company, and what was planted among them.
pub struct DemoCompany {
    pub as_of: Date,
    pub seed: u64,
    pub customers: Vec<Customer>,
    pub suppliers: Vec<Supplier>,
    pub products: Vec<Product>,
    pub prices: Vec<Price>,
    pub stock_levels: Vec<StockLevel>,
    pub channel_listings: Vec<ChannelListing>,
    pub reservations: Vec<Reservation>,
    pub stock_counts: Vec<StockCount>,
    pub orders: Vec<Order>,
    pub shipments: Vec<Shipment>,
    pub tracking_events: Vec<TrackingEvent>,
    pub purchase_orders: Vec<PurchaseOrder>,
    pub acknowledgements: Vec<Acknowledgement>,
    pub receipts: Vec<Receipt>,
    pub customer_invoices: Vec<CustomerInvoice>,
    pub supplier_invoices: Vec<SupplierInvoice>,
    pub credit_notes: Vec<CreditNote>,
    pub payments: Vec<Payment>,
    pub refunds: Vec<Refund>,
    pub remittances: Vec<Remittance>,
    pub returns: Vec<Return>,
    pub tickets: Vec<Ticket>,
    pub planted: Planted,
}

/// The company as it stands on the morning of `as_of`.
///
/// Same arguments, same bytes. Another `as_of` shifts every date by the difference and changes nothing else; another
/// `seed` gives other business with the same kinds of planted cases.
pub fn generate(as_of: Date, seed: u64) -> DemoCompany {
    let mut company = DemoCompany::empty(as_of, seed);
    let c = &mut company;
    let stream = |name: &str| Dice::new(seed, name);
    catalogue::fill(c, &mut stream("catalogue"));
    customers::fill(c, &mut stream("customers"));

    let mut order_slots = Slots::new(ORDERS, ORDER_DAYS, ORDER_RUSH_PERCENT, FIRST_ORDER, &mut stream("order slots"));
    plant::orders::stage(c, &mut order_slots, &mut stream("plant orders"));
    plant::fulfilment::stage(c, &mut order_slots, &mut stream("plant fulfilment"));
    plant::returns::stage_orders(c, &mut order_slots, &mut stream("plant returns"));
    orders::fill(c, order_slots, &mut stream("orders"));
    fulfilment::fill(c, &mut stream("fulfilment"));

    let mut purchase_slots =
        Slots::new(PURCHASE_ORDERS, PURCHASE_DAYS, 0, FIRST_PURCHASE_ORDER, &mut stream("po slots"));
    plant::procurement::stage(c, &mut purchase_slots, &mut stream("plant procurement"));
    procurement::fill(c, purchase_slots, &mut stream("procurement"));

    finance::write_invoices(c);
    plant::finance::leave_open(c);
    finance::collect(c, &mut stream("finance"));
    returns::fill(c, &mut stream("returns"));
    returns::settle(c);
    plant::finance::spoil(c, &mut stream("plant finance"));
    stock::fill_levels(c, &mut stream("stock"));
    plant::stock::spoil_levels(c);
    stock::fill_listings(c, &mut stream("listings"));
    stock::fill_counts(c, &mut stream("counts"));
    plant::stock::spoil_listings_and_counts(c);
    customers::settle_limits(c);
    plant::orders::describe_credit_holds(c);
    tickets::fill(c, &mut stream("tickets"));
    company
}

impl DemoCompany {
    fn empty(as_of: Date, seed: u64) -> Self {
        Self {
            as_of,
            seed,
            customers: Vec::new(),
            suppliers: Vec::new(),
            products: Vec::new(),
            prices: Vec::new(),
            stock_levels: Vec::new(),
            channel_listings: Vec::new(),
            reservations: Vec::new(),
            stock_counts: Vec::new(),
            orders: Vec::new(),
            shipments: Vec::new(),
            tracking_events: Vec::new(),
            purchase_orders: Vec::new(),
            acknowledgements: Vec::new(),
            receipts: Vec::new(),
            customer_invoices: Vec::new(),
            supplier_invoices: Vec::new(),
            credit_notes: Vec::new(),
            payments: Vec::new(),
            refunds: Vec::new(),
            remittances: Vec::new(),
            returns: Vec::new(),
            tickets: Vec::new(),
            planted: Planted::new(as_of, seed),
        }
    }

    /// Every file of the source folder with its path relative to it, in a fixed order.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = vec![
            ("mapping.toml".to_owned(), prose::MAPPING.as_bytes().to_vec()),
            ("customers.csv".to_owned(), csv_bytes(&self.customers)),
            ("suppliers.csv".to_owned(), csv_bytes(&self.suppliers)),
            ("products.csv".to_owned(), csv_bytes(&self.products)),
            ("prices.csv".to_owned(), csv_bytes(&self.prices)),
            ("stock_levels.csv".to_owned(), csv_bytes(&self.stock_levels)),
            ("channel_listings.csv".to_owned(), csv_bytes(&self.channel_listings)),
            ("reservations.csv".to_owned(), csv_bytes(&self.reservations)),
            ("stock_counts.csv".to_owned(), csv_bytes(&self.stock_counts)),
            ("orders.csv".to_owned(), csv_bytes(&self.orders)),
            ("order_lines.csv".to_owned(), csv_bytes(&flat(&self.orders, |order| &order.lines))),
            ("shipments.csv".to_owned(), csv_bytes(&self.shipments)),
            ("shipment_lines.csv".to_owned(), csv_bytes(&flat(&self.shipments, |shipment| &shipment.lines))),
            ("tracking_events.json".to_owned(), fulfilment::tracking_json(self)),
            ("purchase_orders.csv".to_owned(), csv_bytes(&self.purchase_orders)),
            ("purchase_order_lines.csv".to_owned(), csv_bytes(&flat(&self.purchase_orders, |po| &po.lines))),
            ("acknowledgements.csv".to_owned(), csv_bytes(&self.acknowledgements)),
            ("receipts.csv".to_owned(), csv_bytes(&self.receipts)),
            ("receipt_lines.csv".to_owned(), csv_bytes(&flat(&self.receipts, |receipt| &receipt.lines))),
            ("customer_invoices.csv".to_owned(), csv_bytes(&self.customer_invoices)),
            ("supplier_invoices.csv".to_owned(), csv_bytes(&self.supplier_invoices)),
            ("supplier_invoice_lines.csv".to_owned(), csv_bytes(&flat(&self.supplier_invoices, |bill| &bill.lines))),
            ("credit_notes.csv".to_owned(), csv_bytes(&self.credit_notes)),
            ("payments.csv".to_owned(), csv_bytes(&self.payments)),
            ("refunds.csv".to_owned(), csv_bytes(&self.refunds)),
            ("remittances.csv".to_owned(), csv_bytes(&self.remittances)),
            ("remittance_lines.csv".to_owned(), csv_bytes(&flat(&self.remittances, |advice| &advice.lines))),
            ("returns.csv".to_owned(), csv_bytes(&self.returns)),
            ("return_lines.csv".to_owned(), csv_bytes(&flat(&self.returns, |rma| &rma.lines))),
            ("tickets.ndjson".to_owned(), ndjson_bytes(&self.tickets)),
        ];
        files.extend(prose::files(self.as_of));
        files.push(("planted.json".to_owned(), self.planted_json()));
        files
    }

    /// The answer key as it stands in `planted.json`.
    pub fn planted_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.planted).expect("plain structs serialise")
    }
}

/// The lines of all parents, in parent order.
fn flat<P, L: Clone>(parents: &[P], lines: impl Fn(&P) -> &Vec<L>) -> Vec<L> {
    parents.iter().flat_map(|parent| lines(parent).iter().cloned()).collect()
}
