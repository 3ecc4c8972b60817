//! Stable error codes, grouped by what the reader must do.

use std::fmt;

macro_rules! codes {
    ($($(#[$group:meta])* $variant:ident => $text:literal, $doc:literal;)*) => {
        /// What went wrong, as a word that never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $doc] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            /// The code as it appears in answers: `UNKNOWN_COLUMN`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// What it means, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }
        }
    };
}

codes! {
    // Fix the statement.
    SyntaxError => "SYNTAX_ERROR", "The text is not a statement of the dialect.";
    LimitExceeded => "LIMIT_EXCEEDED", "A documented limit was passed; the message names it.";
    UnknownSource => "UNKNOWN_SOURCE", "No stream or table has this name.";
    UnknownColumn => "UNKNOWN_COLUMN", "No column of the sources has this name.";
    AmbiguousColumn => "AMBIGUOUS_COLUMN", "Several sources have a column of this name.";
    UnknownFunction => "UNKNOWN_FUNCTION", "No function has this name.";
    UnknownType => "UNKNOWN_TYPE", "No type has this name.";
    UnknownQuery => "UNKNOWN_QUERY", "No query has this id.";
    UnknownTopic => "UNKNOWN_TOPIC", "No topic has this name.";
    UnknownProperty => "UNKNOWN_PROPERTY", "No setting or WITH property has this name.";
    InvalidProperty => "INVALID_PROPERTY", "The value does not fit the setting or WITH property.";
    FunctionArguments => "FUNCTION_ARGUMENTS", "No overload of the function takes these arguments, or several do.";
    TypeMismatch => "TYPE_MISMATCH", "The types do not go together.";
    InvalidCast => "INVALID_CAST", "There is no cast between these types.";
    InvalidLiteral => "INVALID_LITERAL", "The literal cannot be read as the type it must have.";
    InvalidKey => "INVALID_KEY", "The key columns break a rule.";
    InvalidProjection => "INVALID_PROJECTION", "The SELECT list breaks a rule.";
    InvalidGrouping => "INVALID_GROUPING", "GROUP BY, HAVING or the aggregates break a rule.";
    InvalidPartitioning => "INVALID_PARTITIONING", "PARTITION BY breaks a rule.";
    InvalidWindow => "INVALID_WINDOW", "The window breaks a rule.";
    InvalidJoin => "INVALID_JOIN", "The join breaks a rule.";
    InvalidFormat => "INVALID_FORMAT", "The format cannot hold the columns, or does not know the option.";
    InvalidTimestamp => "INVALID_TIMESTAMP", "The TIMESTAMP column or format breaks a rule.";
    ReservedName => "RESERVED_NAME", "The name is kept for a pseudo column.";
    DuplicateName => "DUPLICATE_NAME", "The name exists already.";
    SchemaMismatch => "SCHEMA_MISMATCH", "The result does not fit the sink, or the new definition the old one.";
    ReadOnly => "READ_ONLY", "The object cannot be written.";
    InUse => "IN_USE", "The object is used by others that must go first.";
    WrongKind => "WRONG_KIND", "The object is a stream where a table is needed, or the reverse.";
    WrongEndpoint => "WRONG_ENDPOINT", "This kind of statement is not taken here.";
    Unsupported => "UNSUPPORTED", "The dialect does not allow this.";
    NotImplemented => "NOT_IMPLEMENTED", "Part of the language, not built yet.";
    // Fix the data.
    InvalidValue => "INVALID_VALUE", "A value cannot be stored in its column.";
    // Retry.
    NotReady => "NOT_READY", "The server is starting or stopping.";
    TimedOut => "TIMED_OUT", "Something did not happen in time.";
    TooManyRequests => "TOO_MANY_REQUESTS", "A limit on requests under way was reached; the message names it.";
    AssertionFailed => "ASSERTION_FAILED", "An ASSERT statement did not hold.";
    // Ask the operator.
    Storage => "STORAGE", "The log or a file could not be read or written.";
    // Report a bug.
    Internal => "INTERNAL", "A broken invariant: a bug of the server.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
