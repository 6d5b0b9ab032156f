//! Customer invoices, credit notes, payments, refunds and remittance advices.

use super::{FieldSpec, KindSchema, date, flag, integer, moment, money, quantity, text};
use crate::identifier::IdentifierScheme as Id;
use crate::record::RecordKind as K;

pub(super) static CUSTOMER_INVOICE: KindSchema = KindSchema {
    kind: K::CustomerInvoice,
    label: "Invoice",
    synonyms: &["invoice", "invoices", "customer invoice", "sales invoice", "inv", "receivable", "receivables"],
    scheme: Id::Invoice,
    title_field: "",
    fields: CUSTOMER_INVOICE_FIELDS,
    lines_label: "Lines",
    lines: INVOICE_LINES,
};

const CUSTOMER_INVOICE_FIELDS: &[FieldSpec] = &[
    text("number", "Invoice number", &["invoice id"]).id(Id::Invoice),
    text("status", "Status", &["state", "is it paid", "open", "overdue"]),
    text("customer_id", "Customer", &["whose", "billed to", "who owes"]).links(K::Customer),
    text("customer_name", "Customer name", &["who"]),
    text("order_number", "Order", &["sales order", "which order", "for order"]).links(K::Order),
    text("shipment_number", "Shipment", &["delivery"]).links(K::Shipment),
    date("invoice_date", "Invoice date", &["date", "issued", "when invoiced", "billed on"]),
    date("due_date", "Due date", &["when is it due", "due", "pay by", "payable by"]),
    money("subtotal", "Subtotal", &["net", "before tax"]),
    money("discount", "Discount", &["rebate"]),
    money("tax", "Tax", &["vat", "sales tax"]),
    money("freight", "Freight", &["shipping cost", "delivery charge"]),
    money("total", "Total", &["how much", "amount", "value", "sum", "gross", "grand total"]),
    money("paid", "Paid", &["amount paid", "paid so far", "received"]),
    money("credited", "Credited", &["credit", "credit notes"]),
    money(
        "balance_due",
        "Balance due",
        &[
            "open amount",
            "outstanding",
            "still to pay",
            "owes",
            "unpaid",
            "balance",
            "open on",
            "whats open",
            "what is open",
            "what's open",
            "still open",
        ],
    ),
    date("paid_date", "Paid on", &["when paid", "payment date", "when was it paid"]),
    integer("dunning_level", "Dunning level", &["reminder", "reminders sent", "dunning"]),
    integer("days_overdue", "Days overdue", &["how late", "overdue by"]),
    text("payment_terms", "Payment terms", &["terms"]),
    flag("disputed", "Disputed", &["dispute", "contested"]),
    text("note", "Note", &["remark", "comment"]),
    moment("updated_at", "Updated", &["modified"]),
];

const INVOICE_LINES: &[FieldSpec] = &[
    text("line_number", "Line", &["position"]),
    text("name", "Item", &["items", "product", "what is invoiced", "description"]),
    text("sku", "SKU", &["article", "item number"]).links(K::Product),
    quantity("quantity", "Quantity", &["how many", "units"]),
    money("unit_price", "Unit price", &["price", "price each"]),
    money("discount", "Discount", &["rebate"]),
    money("tax", "Tax", &["vat"]),
    money("line_total", "Line total", &["line amount"]),
];

pub(super) static CREDIT_NOTE: KindSchema = KindSchema {
    kind: K::CreditNote,
    label: "Credit note",
    synonyms: &["credit note", "credit notes", "credit memo", "credit memos", "credit"],
    scheme: Id::CreditNote,
    title_field: "",
    fields: CREDIT_NOTE_FIELDS,
    lines_label: "Lines",
    lines: INVOICE_LINES,
};

const CREDIT_NOTE_FIELDS: &[FieldSpec] = &[
    text("number", "Credit note number", &["credit memo number"]).id(Id::CreditNote),
    text("status", "Status", &["state", "applied"]),
    text("customer_id", "Customer", &["whose", "for whom"]).links(K::Customer),
    text("supplier_id", "Supplier", &["vendor"]).links(K::Supplier),
    text("invoice_number", "Invoice", &["which invoice", "for invoice"]).links(K::CustomerInvoice),
    text("order_number", "Order", &["sales order"]).links(K::Order),
    text("return_number", "Return", &["rma"]).links(K::Return),
    date("credit_date", "Date", &["issued", "when credited"]),
    text("reason", "Reason", &["why"]),
    money("subtotal", "Subtotal", &["net"]),
    money("tax", "Tax", &["vat"]),
    money("total", "Total", &["how much", "amount", "value"]),
    money("applied", "Applied", &["used", "offset"]),
    money("balance", "Balance", &["unused", "left", "remaining"]),
    text("note", "Note", &["remark", "comment"]),
    moment("updated_at", "Updated", &["modified"]),
];

pub(super) static PAYMENT: KindSchema = KindSchema {
    kind: K::Payment,
    label: "Payment",
    synonyms: &["payment", "payments", "transaction", "transfer", "money received"],
    scheme: Id::Payment,
    title_field: "",
    fields: PAYMENT_FIELDS,
    lines_label: "Applied to",
    lines: APPLICATION_LINES,
};

const PAYMENT_FIELDS: &[FieldSpec] = &[
    text("number", "Payment number", &["payment id", "transaction id"]).id(Id::Payment),
    text("direction", "Direction", &["incoming or outgoing", "in or out"]),
    text("status", "Status", &["state", "cleared", "bounced"]),
    text("customer_id", "Customer", &["who paid", "payer", "from whom"]).links(K::Customer),
    text("supplier_id", "Supplier", &["paid to", "vendor"]).links(K::Supplier),
    text("invoice_number", "Invoice", &["for which invoice"]).links(K::CustomerInvoice),
    text("supplier_invoice_number", "Supplier invoice", &["for which bill"]).links(K::SupplierInvoice),
    text("order_number", "Order", &["for which order"]).links(K::Order),
    money("amount", "Amount", &["how much", "paid", "value", "sum", "total"]),
    money("applied", "Applied", &["allocated", "matched"]),
    money("unapplied", "Unapplied", &["not applied", "unallocated", "left over"]),
    money("fee", "Fee", &["charges", "bank fee"]),
    text("method", "Method", &["how paid", "payment method", "card", "transfer"]),
    text("reference", "Reference", &["payment reference", "bank reference"]).id(Id::Other),
    moment("paid_at", "Paid", &["when paid", "date", "payment date", "received"]),
    text("remittance_number", "Remittance", &["remittance advice"]).links(K::Remittance),
    text("note", "Note", &["remark", "comment"]),
    moment("updated_at", "Updated", &["modified"]),
];

const APPLICATION_LINES: &[FieldSpec] = &[
    text("invoice_number", "Invoice", &["which invoice"]).links(K::CustomerInvoice),
    text("supplier_invoice_number", "Supplier invoice", &["which bill"]).links(K::SupplierInvoice),
    money("amount", "Amount", &["how much"]),
    money("discount", "Discount", &["cash discount", "deduction"]),
    date("applied_on", "Applied on", &["when applied"]),
    text("reason", "Reason", &["why deducted"]),
];

pub(super) static REFUND: KindSchema = KindSchema {
    kind: K::Refund,
    label: "Refund",
    synonyms: &["refund", "refunds", "money back", "reimbursement"],
    scheme: Id::Refund,
    title_field: "",
    fields: REFUND_FIELDS,
    lines_label: "",
    lines: &[],
};

const REFUND_FIELDS: &[FieldSpec] = &[
    text("number", "Refund number", &["refund id"]).id(Id::Refund),
    text("status", "Status", &["state", "issued", "was it refunded"]),
    text("customer_id", "Customer", &["to whom", "whose"]).links(K::Customer),
    text("order_number", "Order", &["for which order", "sales order"]).links(K::Order),
    text("return_number", "Return", &["rma", "for which return"]).links(K::Return),
    text("payment_number", "Payment", &["original payment"]).links(K::Payment),
    text("credit_note_number", "Credit note", &["credit memo"]).links(K::CreditNote),
    money("amount", "Amount", &["how much", "refunded", "value", "sum", "total"]),
    text("method", "Method", &["refunded to", "how refunded", "card", "paypal", "gift card"]),
    text("reason", "Reason", &["why"]),
    moment("requested_at", "Requested", &["when requested"]),
    text("approved_by", "Approved by", &["who approved"]),
    moment("issued_at", "Issued", &["when refunded", "date", "when issued", "paid out"]),
    text("reference", "Reference", &["bank reference"]).id(Id::Other),
    text("note", "Note", &["remark", "comment"]),
    moment("updated_at", "Updated", &["modified"]),
];

pub(super) static REMITTANCE: KindSchema = KindSchema {
    kind: K::Remittance,
    label: "Remittance",
    synonyms: &["remittance", "remittances", "remittance advice", "payment advice"],
    scheme: Id::Remittance,
    title_field: "",
    fields: REMITTANCE_FIELDS,
    lines_label: "Covers",
    lines: APPLICATION_LINES,
};

const REMITTANCE_FIELDS: &[FieldSpec] = &[
    text("number", "Remittance number", &["advice number"]).id(Id::Remittance),
    text("status", "Status", &["state", "matched"]),
    text("customer_id", "Customer", &["from whom", "who pays"]).links(K::Customer),
    text("payment_number", "Payment", &["which payment"]).links(K::Payment),
    money("amount", "Amount", &["how much", "announced", "total", "sum"]),
    date("remittance_date", "Date", &["when", "announced on"]),
    text("reference", "Reference", &["bank reference"]).id(Id::Other),
    quantity("invoice_count", "Invoices covered", &["how many invoices"]),
    text("note", "Note", &["remark", "deduction reason", "comment"]),
    moment("updated_at", "Updated", &["modified"]),
];
