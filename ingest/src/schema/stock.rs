//! Products, prices, stock, reservations, counts and what sales channels show.

use super::{FieldSpec, KindSchema, date, flag, integer, moment, money, quantity, text};
use crate::identifier::IdentifierScheme as Id;
use crate::record::RecordKind as K;

pub(super) static PRODUCT: KindSchema = KindSchema {
    kind: K::Product,
    label: "Product",
    synonyms: &[
        "product", "products", "item", "items", "article", "articles", "sku", "skus", "part", "parts", "variant",
    ],
    scheme: Id::Sku,
    title_field: "name",
    fields: PRODUCT_FIELDS,
    lines_label: "",
    lines: &[],
};

const PRODUCT_FIELDS: &[FieldSpec] = &[
    text("sku", "SKU", &["item number", "article number", "part number", "product number", "item id"]).id(Id::Sku),
    text("name", "Name", &["called", "what is"]),
    text("product_id", "Product family", &["product id", "parent product", "family"]).id(Id::Sku),
    text("description", "Description", &["describe", "about"]),
    text("options", "Options", &["variant", "colour", "color", "size", "material", "features"]),
    text("category", "Category", &["group", "type of product", "line"]),
    text("status", "Status", &["state"]),
    flag("active", "Active", &["is active", "sold", "inactive"]),
    flag("available", "Available", &["in stock", "availability", "can i buy", "is it available"]),
    flag("discontinued", "Discontinued", &["phased out", "end of life"]),
    date("discontinued_date", "Discontinued on", &["when discontinued"]),
    date("sell_start_date", "Sold from", &["on sale since", "launch"]),
    date("sell_end_date", "Sold until", &["last day of sale"]),
    money("list_price", "List price", &["price", "how much", "cost to the customer", "retail price", "sells for"]),
    money("floor_price", "Floor price", &["lowest price", "minimum price", "price floor"]),
    money("standard_cost", "Standard cost", &["cost", "what does it cost us", "cost price"]).cost(),
    money("last_cost", "Last cost", &["latest cost", "last purchase cost"]).cost(),
    money("average_cost", "Average cost", &["mean cost"]).cost(),
    quantity("margin_percent", "Margin %", &["margin", "markup", "profit"]).cost(),
    text("unit", "Unit", &["unit of measure", "uom", "sold by"]),
    quantity("pack_size", "Pack size", &["per pack", "case size"]),
    quantity("weight", "Weight", &["how heavy", "weighs"]),
    text("weight_unit", "Weight unit", &[]),
    text("color", "Colour", &["color"]),
    text("size", "Size", &["how big"]),
    text("barcode", "Barcode", &["ean", "gtin", "upc"]).id(Id::Sku),
    quantity("safety_stock", "Safety stock", &["minimum stock", "buffer stock", "safety level", "safety stock level"]),
    quantity("reorder_point", "Reorder point", &["reorder level", "when to reorder", "reorder at"]),
    quantity("reorder_quantity", "Reorder quantity", &["how many to reorder", "order multiple"]),
    quantity("lead_time_days", "Lead time (days)", &["lead time", "days to get"]),
    quantity("days_to_manufacture", "Days to manufacture", &["manufacturing time", "production time"]),
    flag("made_in_house", "Made in house", &["make or buy", "manufactured", "bought in"]),
    text("supplier_id", "Supplier", &["vendor", "who supplies", "bought from"]).links(K::Supplier),
    integer("warranty_months", "Warranty (months)", &["warranty", "guarantee"]),
    flag("returnable", "Returnable", &["can be returned", "final sale"]),
    flag("hazardous", "Hazardous", &["dangerous goods", "hazmat"]),
    text("note", "Note", &["notes", "remark", "comment"]),
    moment("updated_at", "Updated", &["last updated", "modified"]),
];

pub(super) static STOCK_LEVEL: KindSchema = KindSchema {
    kind: K::StockLevel,
    label: "Stock level",
    synonyms: &["stock", "inventory", "stock level", "stock levels", "on hand", "available", "availability"],
    scheme: Id::Other,
    title_field: "name",
    fields: STOCK_LEVEL_FIELDS,
    lines_label: "",
    lines: &[],
};

const STOCK_LEVEL_FIELDS: &[FieldSpec] = &[
    text("sku", "SKU", &["product", "item", "article"]).links(K::Product).id(Id::Sku),
    text("name", "Product name", &["called"]),
    text("location", "Location", &["warehouse", "where", "site", "depot", "store"]),
    text("bin", "Bin", &["shelf", "rack", "place"]),
    text("lot", "Lot", &["batch", "serial"]),
    quantity(
        "on_hand",
        "On hand",
        &["stock", "in stock", "how many", "how much stock", "quantity", "inventory", "left"],
    ),
    quantity("reserved", "Reserved", &["allocated", "committed"]),
    quantity("available", "Available", &["free stock", "available to promise", "can we sell", "atp"]),
    quantity("in_transit", "In transit", &["on the way", "incoming", "inbound"]),
    quantity("on_order", "On order", &["ordered from suppliers", "on purchase"]),
    quantity("quarantined", "Quarantined", &["quarantine", "blocked stock", "quality hold"]),
    moment("quarantined_since", "Quarantined since", &["since when quarantined"]),
    quantity("damaged", "Damaged", &["broken", "defective"]),
    quantity("return_pending", "Return pending", &["returned stock", "waiting inspection", "awaiting return"]),
    moment("return_pending_since", "Return pending since", &["since when pending"]),
    quantity("safety_stock", "Safety stock", &["minimum stock", "buffer stock"]),
    quantity("reorder_point", "Reorder point", &["reorder level", "when to reorder"]),
    money("unit_cost", "Unit cost", &["cost", "cost each"]).cost(),
    money("stock_value", "Stock value", &["value of stock", "worth", "inventory value"]).cost(),
    text("unit", "Unit", &["unit of measure", "uom"]),
    date("last_counted", "Last counted", &["last count", "when counted"]),
    date("expires_on", "Expires on", &["expiry", "best before", "expiration"]),
    moment("updated_at", "Updated", &["as of", "last updated", "modified"]),
];

pub(super) static RESERVATION: KindSchema = KindSchema {
    kind: K::Reservation,
    label: "Reservation",
    synonyms: &["reservation", "reservations", "allocation", "allocations"],
    scheme: Id::Other,
    title_field: "",
    fields: RESERVATION_FIELDS,
    lines_label: "",
    lines: &[],
};

const RESERVATION_FIELDS: &[FieldSpec] = &[
    text("number", "Reservation number", &["reservation id"]).id(Id::Other),
    text("status", "Status", &["state"]),
    text("sku", "SKU", &["product", "item", "article"]).links(K::Product),
    quantity("quantity", "Quantity", &["how many", "reserved", "amount"]),
    text("location", "Location", &["warehouse", "where"]),
    text("order_number", "Order", &["for which order", "sales order"]).links(K::Order),
    text("customer_id", "Customer", &["for whom"]).links(K::Customer),
    moment("reserved_at", "Reserved at", &["since when", "reserved since"]),
    moment("expires_at", "Expires at", &["until", "expiry", "runs out"]),
    text("reason", "Reason", &["why"]),
];

pub(super) static STOCK_COUNT: KindSchema = KindSchema {
    kind: K::StockCount,
    label: "Stock count",
    synonyms: &["stock count", "stock counts", "cycle count", "cycle counts", "count", "stocktake", "inventory count"],
    scheme: Id::Other,
    title_field: "",
    fields: STOCK_COUNT_FIELDS,
    lines_label: "",
    lines: &[],
};

const STOCK_COUNT_FIELDS: &[FieldSpec] = &[
    text("number", "Count number", &["count id"]).id(Id::Other),
    text("status", "Status", &["state"]),
    text("sku", "SKU", &["product", "item", "article"]).links(K::Product),
    text("location", "Location", &["warehouse", "where"]),
    text("bin", "Bin", &["shelf", "rack"]),
    quantity("expected", "Expected", &["system quantity", "book quantity"]),
    quantity("counted", "Counted", &["actual", "found", "how many"]),
    quantity("variance", "Variance", &["difference", "discrepancy", "missing"]),
    money("variance_value", "Variance value", &["worth of the difference", "loss"]).cost(),
    moment("counted_at", "Counted at", &["when counted", "date"]),
    text("counted_by", "Counted by", &["who counted"]),
    text("reason", "Reason", &["why"]),
];

pub(super) static CHANNEL_LISTING: KindSchema = KindSchema {
    kind: K::ChannelListing,
    label: "Channel listing",
    synonyms: &["channel listing", "channel listings", "listing", "listings", "marketplace", "web shop", "channel"],
    scheme: Id::Other,
    title_field: "title",
    fields: CHANNEL_LISTING_FIELDS,
    lines_label: "",
    lines: &[],
};

const CHANNEL_LISTING_FIELDS: &[FieldSpec] = &[
    text("number", "Listing number", &["listing id", "asin"]).id(Id::Other),
    text("channel", "Channel", &["marketplace", "shop", "where listed"]),
    text("sku", "SKU", &["product", "item", "article"]).links(K::Product),
    text("title", "Title", &["headline"]),
    text("status", "Status", &["state", "is it live"]),
    quantity("quantity", "Listed quantity", &["channel quantity", "shown quantity", "offered", "how many"]),
    quantity("buffer", "Buffer", &["held back"]),
    money("price", "Price", &["listed price", "how much"]),
    moment("synced_at", "Last synced", &["last sync", "updated", "synchronised"]),
    text("url", "Address on the web", &["url", "link"]),
];

pub(super) static PRICE: KindSchema = KindSchema {
    kind: K::Price,
    label: "Price",
    synonyms: &["price", "prices", "price list", "pricing", "quote"],
    scheme: Id::Other,
    title_field: "",
    fields: PRICE_FIELDS,
    lines_label: "",
    lines: &[],
};

const PRICE_FIELDS: &[FieldSpec] = &[
    text("price_list", "Price list", &["list", "tariff", "which list"]),
    text("price_type", "Type of price", &["sales or purchase", "purchase price", "sales price"]),
    text("sku", "SKU", &["product", "item", "article"]).links(K::Product),
    text("customer_id", "Customer", &["for which customer"]).links(K::Customer),
    text("supplier_id", "Supplier", &["vendor", "from which supplier"]).links(K::Supplier),
    money("unit_price", "Unit price", &["price", "how much", "price each"]),
    money("floor_price", "Floor price", &["lowest price", "minimum price"]),
    money("supplier_price", "Supplier price", &["vendor price", "purchase price", "agreed price"]),
    money("last_cost", "Last receipt cost", &["last cost", "last receipt"]).cost(),
    date("last_receipt_date", "Last receipt", &["last received", "last bought"]),
    quantity("minimum_quantity", "Minimum quantity", &["minimum order quantity", "moq", "from how many", "min order"]),
    quantity("maximum_quantity", "Maximum quantity", &["max order", "up to how many"]),
    quantity("on_order", "On order", &["ordered"]),
    quantity("lead_time_days", "Lead time (days)", &["lead time", "how long does delivery take", "delivery time"]),
    quantity("discount_percent", "Discount %", &["discount", "rebate"]),
    text("unit", "Unit", &["unit of measure", "uom", "per"]),
    date("valid_from", "Valid from", &["from when", "since"]),
    date("valid_to", "Valid to", &["until", "expires"]),
    moment("updated_at", "Updated", &["last updated", "modified"]),
];
