//! Shipments and what carriers report about them.

use super::{FieldSpec, KindSchema, date, flag, moment, money, quantity, text};
use crate::identifier::IdentifierScheme as Id;
use crate::record::RecordKind as K;

pub(super) static SHIPMENT: KindSchema = KindSchema {
    kind: K::Shipment,
    label: "Shipment",
    synonyms: &["shipment", "shipments", "delivery", "deliveries", "parcel", "parcels", "package", "packages"],
    scheme: Id::Shipment,
    title_field: "",
    fields: SHIPMENT_FIELDS,
    lines_label: "Lines",
    lines: SHIPMENT_LINES,
};

const SHIPMENT_FIELDS: &[FieldSpec] = &[
    text("number", "Shipment number", &["delivery number", "shipment id"]).id(Id::Shipment),
    text("status", "Status", &["state", "where is", "progress", "how far"]),
    text("order_number", "Order", &["sales order", "which order", "for order"]).links(K::Order),
    text("customer_id", "Customer", &["for whom"]).links(K::Customer),
    text("carrier", "Carrier", &["courier", "who delivers", "shipped with", "shipper"]),
    text("service", "Service", &["shipping method", "express", "ship method"]),
    text("tracking_numbers", "Tracking", &["tracking number", "tracking id", "track", "trace", "parcel number"])
        .id(Id::Tracking),
    text("warehouse", "Warehouse", &["ships from", "location"]),
    moment("picked_at", "Picked", &["when picked"]),
    moment("packed_at", "Packed", &["when packed"]),
    date("ship_date", "Ship date", &["when does it ship", "planned ship date", "dispatch date"]),
    moment("shipped_at", "Shipped", &["when was it shipped", "dispatched", "sent", "left"]),
    date(
        "promised_date",
        "Promised date",
        &["eta", "expected", "when does it arrive", "due", "delivery date", "arrive"],
    ),
    date("estimated_delivery", "Estimated delivery", &["carrier eta", "estimate", "expected delivery"]),
    moment("delivered_at", "Delivered", &["arrived", "when was it delivered"]),
    moment("last_event_at", "Last movement", &["last scan", "last event", "last seen", "movement"]),
    text(
        "last_event",
        "Last event",
        &["latest scan", "what happened last", "seen last", "last seen", "last scan", "where is it now"],
    ),
    text("exception", "Carrier exception", &["delivery exception", "problem", "lost", "damaged in transit"]),
    text("delivery_name", "Deliver to", &["recipient", "signed by"]),
    text("delivery_address", "Delivery address", &["address", "ship to", "where to"]),
    text("delivery_country", "Country", &[]),
    quantity("parcels", "Parcels", &["how many parcels", "packages", "boxes"]),
    quantity("weight", "Weight", &["how heavy"]),
    money("freight", "Freight", &["shipping cost", "freight charge"]),
    money("freight_cost", "Freight cost", &["carrier cost", "what shipping costs us"]).cost(),
    flag("partial", "Partial", &["split shipment", "complete"]),
    flag("invoiced", "Invoiced", &["billed"]),
    moment("updated_at", "Updated", &["last updated", "modified"]),
];

const SHIPMENT_LINES: &[FieldSpec] = &[
    text("line_number", "Order line", &["position"]),
    text("name", "Item", &["items", "contents", "what is in", "product"]),
    text("sku", "SKU", &["article", "item number"]).links(K::Product),
    quantity("quantity", "Quantity", &["how many", "units"]),
    text("lot", "Lot", &["batch", "serial"]),
    text("tracking_number", "Tracking", &["parcel number"]).id(Id::Tracking),
];

pub(super) static TRACKING_EVENT: KindSchema = KindSchema {
    kind: K::TrackingEvent,
    label: "Tracking event",
    synonyms: &["tracking event", "tracking events", "scan", "scans", "tracking", "track"],
    scheme: Id::Other,
    title_field: "",
    fields: TRACKING_EVENT_FIELDS,
    lines_label: "",
    lines: &[],
};

const TRACKING_EVENT_FIELDS: &[FieldSpec] = &[
    text("tracking_number", "Tracking", &["tracking number", "tracking id", "parcel number"]).id(Id::Tracking),
    text("shipment_number", "Shipment", &["delivery number"]).links(K::Shipment),
    text("order_number", "Order", &["sales order"]).links(K::Order),
    text("carrier", "Carrier", &["courier"]),
    moment("at", "At", &["when", "time", "last scan"]),
    text("status", "Status", &["state", "what happened", "event"]),
    text("code", "Code", &["event code"]),
    text("location", "Location", &["where", "depot", "city"]),
    text("description", "Description", &["details", "message"]),
    date("estimated_delivery", "Estimated delivery", &["eta", "expected"]),
];
