//! Bytes in; documents, chunks and canonical records out.
//!
//! Pure: no async, files, sockets, clock or environment. The same bytes give the same records, spans and ids, so that
//! taking a source in again changes nothing. Fetching bytes is `source`'s job, storing records `record`'s.

pub mod card;
pub mod chunk;
pub mod document;
pub mod extract;
mod front_matter;
mod html;
pub mod identifier;
pub mod json;
pub mod mapping;
pub mod money;
pub mod prose;
pub mod record;
pub mod reject;
pub mod schema;
pub mod suggest;
pub mod table;
pub mod text;

pub use card::{Card, CardPart, FieldSpan, cards, display_value};
pub use chunk::{Chunk, MAX_TOKENS, chunk_card, chunk_document, count_tokens};
pub use document::{
    Document, DocumentKind, DocumentMeta, Markup, chunk_id, document_id, record_id, sha256, sha256_hex,
};
pub use extract::{Extract, Route};
pub use identifier::{Identifier, IdentifierScheme, identifiers_in};
pub use mapping::{Given, Ingested, Input, Mapping, MappingError, SourceFile};
pub use money::{Currency, Decimal, Money, MoneyError};
pub use record::{Fields, Link, Record, RecordKind, Value};
pub use reject::{Limits, Rejection};
pub use schema::{Class, FieldSpec, FieldType, KindSchema, schema};
