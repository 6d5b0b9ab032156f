//! Purchase orders, what suppliers confirm, what arrives, and what suppliers invoice.
//!
//! What we pay a supplier on a purchase order is public among the users of the desk: buyers and receivers work with
//! it. Cost that tells margins (standard cost, last cost) is on products, stock and prices.

use super::{FieldSpec, KindSchema, date, flag, integer, moment, money, quantity, text};
use crate::identifier::IdentifierScheme as Id;
use crate::record::RecordKind as K;

pub(super) static PURCHASE_ORDER: KindSchema = KindSchema {
    kind: K::PurchaseOrder,
    label: "Purchase order",
    synonyms: &["purchase order", "purchase orders", "po", "pos", "supplier order", "vendor order"],
    scheme: Id::PurchaseOrder,
    title_field: "",
    fields: PURCHASE_ORDER_FIELDS,
    lines_label: "Lines",
    lines: PURCHASE_ORDER_LINES,
};

const PURCHASE_ORDER_FIELDS: &[FieldSpec] = &[
    text("number", "PO number", &["purchase order number", "po id"]).id(Id::PurchaseOrder),
    text("status", "Status", &["state", "how far", "approved", "rejected", "complete", "progress"]),
    text("supplier_id", "Supplier", &["vendor", "who supplies", "ordered from", "vendor id", "from whom"])
        .links(K::Supplier),
    text("supplier_name", "Supplier name", &["vendor name", "name of the supplier"]),
    text("buyer", "Buyer", &["purchaser", "who ordered", "employee", "ordered by"]),
    integer("revision", "Revision", &["revision number", "version"]),
    date("order_date", "Order date", &["ordered", "when ordered", "when was it ordered", "placed", "date"]),
    date("requested_date", "Requested date", &["wanted by", "needed by"]),
    date("due_date", "Due date", &["when is it due", "due", "expected"]),
    date(
        "promised_date",
        "Promised date",
        &["confirmed date", "eta", "when does it arrive", "supplier promise", "arrive", "expected", "due"],
    ),
    date(
        "ship_date",
        "Ship date",
        &["when does it ship", "shipped", "shipping date", "ships on", "when was it shipped"],
    ),
    text("ship_method", "Ship method", &["how shipped", "carrier", "shipping method", "ship via"]),
    date("received_date", "Received", &["when received", "arrived"]),
    moment("acknowledged_at", "Acknowledged", &["confirmed by the supplier", "order confirmation", "acknowledgement"]),
    moment("approved_at", "Approved at", &["when approved", "approved on"]),
    text("approved_by", "Approved by", &["who approved"]),
    money("subtotal", "Subtotal", &["net", "before tax", "sub total"]),
    money("tax", "Tax", &["vat", "tax amount", "sales tax"]),
    money("freight", "Freight", &["shipping cost", "freight charge", "delivery charge"]),
    money(
        "total",
        "Total",
        &["how much", "amount", "total due", "value", "worth", "sum", "grand total", "cost", "price"],
    ),
    money("invoiced", "Invoiced", &["billed", "amount invoiced"]),
    text("payment_terms", "Payment terms", &["terms"]),
    text("warehouse", "Warehouse", &["deliver to", "location", "receiving site"]),
    text("hold_kind", "Hold", &["on hold", "blocked", "held"]),
    moment("hold_since", "Held since", &["since when on hold"]),
    text("incoterms", "Incoterms", &["delivery terms"]),
    text("note", "Note", &["notes", "remark", "comment"]),
    moment("updated_at", "Updated", &["last updated", "last change", "modified"]),
];

const PURCHASE_ORDER_LINES: &[FieldSpec] = &[
    text("line_number", "Line", &["position", "line id"]),
    text("name", "Item", &["items", "what was ordered", "contents", "product", "products", "what is on"]),
    text("sku", "SKU", &["article", "item number", "part", "product id"]).links(K::Product),
    text("supplier_sku", "Supplier's item number", &["vendor part number"]),
    quantity("quantity", "Ordered", &["quantity", "how many", "ordered quantity", "order quantity"]),
    quantity("quantity_acknowledged", "Acknowledged", &["confirmed quantity"]),
    quantity("quantity_received", "Received", &["arrived", "how many received", "delivered", "received quantity"]),
    quantity("quantity_rejected", "Rejected", &["rejected quantity", "failed inspection", "refused"]),
    quantity("quantity_stocked", "Stocked", &["put away", "stocked quantity"]),
    quantity("quantity_open", "Open", &["outstanding", "still to come", "missing"]),
    quantity("quantity_invoiced", "Invoiced", &["billed quantity"]),
    quantity("quantity_cancelled", "Cancelled", &[]),
    text("unit", "Unit", &["unit of measure"]),
    money("unit_price", "Unit price", &["price each", "price per piece", "price"]),
    money("line_total", "Line total", &["line amount"]),
    money("tax", "Tax", &[]),
    date("due_date", "Due date", &["due", "when is it due"]),
    date("promised_date", "Promised date", &["confirmed date", "eta"]),
    date("received_date", "Received on", &["when received"]),
    text("status", "Line status", &[]),
    moment("updated_at", "Updated", &["modified"]),
];

pub(super) static ACKNOWLEDGEMENT: KindSchema = KindSchema {
    kind: K::PurchaseOrderAcknowledgement,
    label: "Purchase order acknowledgement",
    synonyms: &["acknowledgement", "acknowledgements", "acknowledgment", "order confirmation", "supplier confirmation"],
    scheme: Id::Other,
    title_field: "",
    fields: ACKNOWLEDGEMENT_FIELDS,
    lines_label: "Lines",
    lines: ACKNOWLEDGEMENT_LINES,
};

const ACKNOWLEDGEMENT_FIELDS: &[FieldSpec] = &[
    text("number", "Acknowledgement number", &["confirmation number"]).id(Id::Other),
    text("purchase_order_number", "Purchase order", &["po", "po number"]).links(K::PurchaseOrder),
    text("supplier_id", "Supplier", &["vendor", "from whom"]).links(K::Supplier),
    text("status", "Status", &["state", "accepted", "rejected", "changed"]),
    moment("acknowledged_at", "Acknowledged", &["when confirmed", "date"]),
    date("promised_date", "Promised date", &["confirmed date", "eta", "when does it arrive"]),
    money("total", "Total", &["confirmed total", "amount"]),
    text("note", "Note", &["remark", "comment", "reason"]),
];

const ACKNOWLEDGEMENT_LINES: &[FieldSpec] = &[
    text("line_number", "PO line", &["position"]),
    text("sku", "SKU", &["article", "item"]).links(K::Product),
    quantity("quantity", "Quantity", &["confirmed quantity", "how many"]),
    money("unit_price", "Unit price", &["confirmed price", "price"]),
    date("promised_date", "Promised date", &["confirmed date"]),
    text("status", "Line status", &["accepted", "rejected"]),
];

pub(super) static RECEIPT: KindSchema = KindSchema {
    kind: K::Receipt,
    label: "Receipt",
    synonyms: &["receipt", "receipts", "goods receipt", "goods receipts", "grn", "inbound delivery"],
    scheme: Id::Receipt,
    title_field: "",
    fields: RECEIPT_FIELDS,
    lines_label: "Lines",
    lines: RECEIPT_LINES,
};

const RECEIPT_FIELDS: &[FieldSpec] = &[
    text("number", "Receipt number", &["grn number", "receipt id"]).id(Id::Receipt),
    text("status", "Status", &["state"]),
    text("purchase_order_number", "Purchase order", &["po", "po number", "which po"]).links(K::PurchaseOrder),
    text("supplier_id", "Supplier", &["vendor", "from whom"]).links(K::Supplier),
    moment("received_at", "Received", &["when received", "arrived", "date"]),
    text("received_by", "Received by", &["who received"]),
    text("warehouse", "Warehouse", &["where", "location"]),
    text("delivery_note", "Delivery note", &["packing slip", "delivery note number"]).id(Id::Other),
    text("carrier", "Carrier", &["courier"]),
    text("tracking_number", "Tracking", &["tracking number"]).id(Id::Tracking),
    text("note", "Note", &["remark", "comment"]),
    moment("updated_at", "Updated", &["modified"]),
];

const RECEIPT_LINES: &[FieldSpec] = &[
    text("line_number", "PO line", &["position"]),
    text("name", "Item", &["items", "what arrived", "product"]),
    text("sku", "SKU", &["article", "item number"]).links(K::Product),
    quantity("quantity_expected", "Expected", &["ordered"]),
    quantity("quantity_received", "Received", &["quantity", "how many", "arrived"]),
    quantity("quantity_rejected", "Rejected", &["failed inspection", "refused"]),
    quantity("quantity_stocked", "Stocked", &["put away"]),
    text("rejection_reason", "Rejected because", &["why rejected", "defect"]),
    text("lot", "Lot", &["batch", "serial"]),
];

pub(super) static SUPPLIER_INVOICE: KindSchema = KindSchema {
    kind: K::SupplierInvoice,
    label: "Supplier invoice",
    synonyms: &["supplier invoice", "supplier invoices", "vendor invoice", "vendor bill", "bill", "bills", "payable"],
    scheme: Id::Invoice,
    title_field: "",
    fields: SUPPLIER_INVOICE_FIELDS,
    lines_label: "Lines",
    lines: SUPPLIER_INVOICE_LINES,
};

const SUPPLIER_INVOICE_FIELDS: &[FieldSpec] = &[
    text("number", "Invoice number", &["our number", "invoice id"]).id(Id::Invoice),
    text(
        "supplier_reference",
        "Supplier's invoice number",
        &["their number", "supplier reference", "vendor reference"],
    )
    .id(Id::Invoice),
    text("status", "Status", &["state", "approved", "paid", "matched", "blocked"]),
    text("supplier_id", "Supplier", &["vendor", "from whom"]).links(K::Supplier),
    text("supplier_name", "Supplier name", &["vendor name"]),
    text("purchase_order_number", "Purchase order", &["po", "po number", "which po"]).links(K::PurchaseOrder),
    text("receipt_number", "Receipt", &["goods receipt", "grn"]).links(K::Receipt),
    date("invoice_date", "Invoice date", &["date", "when invoiced"]),
    date("received_date", "Received", &["when received"]),
    date("due_date", "Due date", &["when is it due", "due", "pay by"]),
    money("subtotal", "Subtotal", &["net", "before tax"]),
    money("tax", "Tax", &["vat"]),
    money("freight", "Freight", &["shipping cost", "freight charge"]),
    money("total", "Total", &["how much", "amount", "value", "sum", "gross"]),
    money("paid", "Paid", &["amount paid", "paid so far"]),
    money("balance_due", "Balance due", &["open amount", "outstanding", "still to pay"]),
    date("paid_date", "Paid on", &["when paid", "payment date"]),
    text("payment_terms", "Payment terms", &["terms", "discount terms"]),
    text("match_status", "Match", &["three-way match", "matching", "matched", "mismatch"]),
    text("hold_kind", "Hold", &["on hold", "blocked", "payment block"]),
    moment("hold_since", "Held since", &["since when on hold"]),
    flag("disputed", "Disputed", &["dispute", "contested"]),
    text("note", "Note", &["remark", "comment"]),
    moment("updated_at", "Updated", &["modified"]),
];

const SUPPLIER_INVOICE_LINES: &[FieldSpec] = &[
    text("line_number", "PO line", &["position"]),
    text("name", "Item", &["items", "product", "what is invoiced"]),
    text("sku", "SKU", &["article", "item number"]).links(K::Product),
    quantity("quantity", "Quantity", &["how many", "billed quantity"]),
    money("unit_price", "Unit price", &["price", "price each"]),
    money("tax", "Tax", &["vat"]),
    money("line_total", "Line total", &["line amount"]),
];
