//! Customers and suppliers.

use super::{FieldSpec, KindSchema, date, flag, integer, moment, money, quantity, text};
use crate::identifier::IdentifierScheme as Id;
use crate::record::RecordKind as K;

pub(super) static CUSTOMER: KindSchema = KindSchema {
    kind: K::Customer,
    label: "Customer",
    synonyms: &["customer", "customers", "client", "clients", "buyer", "account holder", "user"],
    scheme: Id::Customer,
    title_field: "name",
    fields: CUSTOMER_FIELDS,
    lines_label: "",
    lines: &[],
};

const CUSTOMER_FIELDS: &[FieldSpec] = &[
    text("number", "Customer number", &["customer id", "account number", "user id"]).id(Id::Customer),
    text("name", "Name", &["called", "who is", "full name"]),
    text("status", "Status", &["state", "standing"]),
    text("email", "E-mail", &["email", "mail address", "email address"]).id(Id::Email),
    text("phone", "Phone", &["telephone", "phone number", "call them", "mobile"]),
    text("contact_name", "Contact", &["contact person", "who to contact"]),
    text("address", "Address", &["where do they live", "street", "located", "billing address", "home address"]),
    text("city", "City", &["town"]),
    text("region", "Region", &["province", "county"]),
    text("postal_code", "Postal code", &["zip", "zip code", "postcode"]),
    text("country", "Country", &[]),
    text("group", "Group", &["segment", "tier", "customer group", "class of customer", "loyalty"]),
    text("language", "Language", &[]),
    text("payment_terms", "Payment terms", &["terms", "net days", "how long to pay"]),
    text(
        "payment_methods",
        "Payment methods",
        &["how do they pay", "payment method", "card on file", "cards", "paypal"],
    ),
    money("credit_limit", "Credit limit", &["limit", "how much credit"]),
    money("credit_used", "Credit used", &["exposure", "open balance", "outstanding", "owes", "owed", "balance"]),
    text("credit_rating", "Credit rating", &["rating", "creditworthiness"]),
    flag("credit_hold", "Credit hold", &["on hold", "on credit hold", "blocked for credit"]),
    moment("credit_hold_since", "Credit hold since", &["since when on hold", "held since"]),
    flag("active", "Active", &["is active", "inactive", "closed account"]),
    flag("tax_exempt", "Tax exempt", &["exempt", "vat exempt"]),
    text("tax_number", "Tax number", &["vat number", "vat id", "tax id"]),
    text("order_numbers", "Orders", &["their orders", "orders placed", "which orders", "order history"])
        .links(K::Order),
    date("customer_since", "Customer since", &["since when", "how long a customer"]),
    text("note", "Note", &["notes", "remark", "remarks", "comment"]),
    moment("updated_at", "Updated", &["last updated", "last change", "modified"]),
];

pub(super) static SUPPLIER: KindSchema = KindSchema {
    kind: K::Supplier,
    label: "Supplier",
    synonyms: &["supplier", "suppliers", "vendor", "vendors", "manufacturer"],
    scheme: Id::Supplier,
    title_field: "name",
    fields: SUPPLIER_FIELDS,
    lines_label: "",
    lines: &[],
};

const SUPPLIER_FIELDS: &[FieldSpec] = &[
    text("number", "Supplier number", &["vendor number", "supplier id", "vendor id", "account number"])
        .id(Id::Supplier),
    text("name", "Name", &["called", "who is"]),
    text("status", "Status", &["state", "standing", "inactive", "blocked"]),
    flag("active", "Active", &["is active", "inactive", "still active"]),
    flag("blocked", "Blocked", &["is blocked", "stopped", "barred"]),
    text("blocked_reason", "Blocked because", &["why blocked", "reason for block"]),
    flag("preferred", "Preferred", &["preferred vendor", "preferred supplier", "first choice"]),
    integer("credit_rating", "Credit rating", &["rating", "credit score", "1 best to 5 worst"]),
    text("email", "E-mail", &["email", "mail address"]).id(Id::Email),
    text("phone", "Phone", &["telephone", "phone number"]),
    text("contact_name", "Contact", &["contact person", "who to contact"]),
    text("address", "Address", &["street", "located", "where are they"]),
    text("city", "City", &["town"]),
    text("region", "Region", &["province"]),
    text("postal_code", "Postal code", &["zip", "zip code", "postcode"]),
    text("country", "Country", &[]),
    text("website", "Website", &["web site", "url", "homepage"]),
    text("payment_terms", "Payment terms", &["terms", "when do we pay"]),
    quantity("lead_time_days", "Lead time (days)", &["lead time", "how long does delivery take", "delivery time"]),
    money("minimum_order_value", "Minimum order value", &["minimum order", "smallest order"]),
    text("currency", "Currency", &["invoices in"]),
    text("tax_number", "Tax number", &["vat number", "vat id", "tax id"]),
    text("escalation_contact", "Escalation contact", &["escalate to", "escalation"]),
    text("note", "Note", &["notes", "remark", "remarks", "comment"]),
    moment("updated_at", "Updated", &["last updated", "last change", "modified"]),
];
