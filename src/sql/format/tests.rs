//! Random trees, printed and parsed again.

use std::time::Duration;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::diagnostics::Span;
use crate::sql::ast::{
    Assertion, BinaryOp, ColumnDefinition, ColumnDefinitionRole, ColumnRef, CreateFunction, CreateSource,
    CreateSourceAs, Emit, Expr, ExprKind, Ident, InsertValues, Join, JoinKind, Literal, Property, Query, QuerySelector,
    Relation, SelectItem, SourceKind, Statement, StatementKind, TopicName, TypeName, TypeNameKind, UnaryOp,
    WindowClause, WindowKind, Within,
};
use crate::sql::{parse_expression, parse_statements};
use crate::types::{Name, SqlType};

use super::masked;

const HERE: Span = Span::UNKNOWN;

/// Names that have tripped parsers: words with a meaning, letters that need quotes, quotes themselves.
const NAMES: [&str; 24] = [
    "A",
    "ORDERS",
    "X@1",
    "a b",
    "lower",
    "SELECT",
    "ARRAY",
    "MAP",
    "STRUCT",
    "DAYS",
    "DAY",
    "EMIT",
    "CHANGES",
    "PARTITION",
    "KEY",
    "COLUMN",
    "FUNCTION",
    "TABLES",
    "IF",
    "1A",
    "1E5",
    "é`\"'",
    "",
    "SET",
];

fn name() -> impl Strategy<Value = Name> {
    select(&NAMES[..]).prop_map(Name::from)
}

fn ident() -> impl Strategy<Value = Ident> {
    name().prop_map(|name| Ident { name, span: HERE })
}

fn source() -> impl Strategy<Value = Ident> {
    select(vec!["A", "my-stream", "lower", "EMIT", "PARTITION", "IF", "TABLES", "FUNCTION", "SELECT", "1A", "-"])
        .prop_map(|name| Ident { name: name.into(), span: HERE })
}

fn text() -> impl Strategy<Value = String> {
    select(vec!["", "x", "it's", "''", "--", "a\nb", "`\"", "${x}", "é;"]).prop_map(str::to_owned)
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Boolean),
        any::<i32>().prop_map(Literal::Integer),
        select(vec![i64::MIN, i64::from(i32::MIN) - 1, i64::from(i32::MAX) + 1, i64::MAX]).prop_map(Literal::BigInt),
        select(vec!["0.5", "1.", "-1.50", "0.0", "12345678901234567890.1"]).prop_map(|d| Literal::Decimal(d.into())),
        select(vec!["1E3", "-1.5E-2", ".5E+7", "1.E0", "-0E0"]).prop_map(|d| Literal::Double(d.into())),
        text().prop_map(Literal::String),
    ]
}

fn type_name() -> impl Strategy<Value = TypeName> {
    let leaf = prop_oneof![
        select(vec![
            SqlType::Boolean,
            SqlType::Integer,
            SqlType::BigInt,
            SqlType::Double,
            SqlType::Decimal { precision: 4, scale: 2 },
            SqlType::Decimal { precision: 76, scale: 76 },
            SqlType::String,
            SqlType::Bytes,
            SqlType::Time,
            SqlType::Date,
            SqlType::Timestamp,
        ])
        .prop_map(TypeNameKind::Simple),
        name().prop_map(TypeNameKind::Custom),
    ]
    .prop_map(|kind| TypeName { kind, span: HERE });
    leaf.prop_recursive(3, 12, 3, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed.clone().prop_map(TypeNameKind::Array),
            (boxed.clone(), boxed).prop_map(|(key, value)| TypeNameKind::Map(key, value)),
            prop::collection::vec((name(), inner), 0..3).prop_map(TypeNameKind::Struct),
        ]
        .prop_map(|kind| TypeName { kind, span: HERE })
    })
}

fn binary_op() -> impl Strategy<Value = BinaryOp> {
    select(vec![
        BinaryOp::Add,
        BinaryOp::Subtract,
        BinaryOp::Multiply,
        BinaryOp::Divide,
        BinaryOp::Modulo,
        BinaryOp::Concat,
        BinaryOp::Equal,
        BinaryOp::NotEqual,
        BinaryOp::Less,
        BinaryOp::LessOrEqual,
        BinaryOp::Greater,
        BinaryOp::GreaterOrEqual,
        BinaryOp::IsDistinctFrom,
        BinaryOp::IsNotDistinctFrom,
        BinaryOp::And,
        BinaryOp::Or,
    ])
}

fn some<T: std::fmt::Debug>(item: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(item, 1..4)
}

fn expr() -> impl Strategy<Value = Expr> {
    let column = (option::of(name()), name()).prop_map(|(qualifier, name)| ColumnRef { qualifier, name });
    let leaf = prop_oneof![literal().prop_map(ExprKind::Literal), column.prop_map(ExprKind::Column)]
        .prop_map(|kind| Expr::new(kind, HERE));
    leaf.prop_recursive(6, 40, 4, |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        let list = || prop::collection::vec(inner.clone(), 0..4);
        let negated = any::<bool>;
        let unary = select(vec![UnaryOp::Plus, UnaryOp::Minus, UnaryOp::Not]);
        let lambda = (some(name()), boxed()).prop_map(|(params, body)| ExprKind::Lambda { params, body });
        let lambdas = prop::collection::vec(lambda.prop_map(|kind| Expr::new(kind, HERE)), 0..2);
        let unit = option::of(select(vec!["DAYS", "HOURS", "MINUTES", "SECONDS", "MILLISECONDS", "MILLISECOND"]));
        let call = (name(), unit, list(), lambdas).prop_map(|(function, unit, args, lambdas)| {
            let unit = unit.map(|unit| Expr::new(ExprKind::IntervalUnit(unit.to_owned()), HERE));
            ExprKind::Call { function, args: unit.into_iter().chain(args).chain(lambdas).collect() }
        });
        let star = || vec![Expr::new(ExprKind::Star, HERE)];
        let case = (option::of(boxed()), some((inner.clone(), inner.clone())), option::of(boxed()));
        prop_oneof![
            (unary, boxed()).prop_map(|(op, operand)| ExprKind::Unary { op, operand }),
            (binary_op(), boxed(), boxed()).prop_map(|(op, left, right)| ExprKind::Binary { op, left, right }),
            (boxed(), negated()).prop_map(|(operand, negated)| ExprKind::IsNull { operand, negated }),
            (boxed(), boxed(), boxed(), negated()).prop_map(|(operand, low, high, negated)| ExprKind::Between {
                operand,
                low,
                high,
                negated
            }),
            (boxed(), some(inner.clone()), negated()).prop_map(|(operand, list, negated)| ExprKind::InList {
                operand,
                list,
                negated
            }),
            (boxed(), boxed(), option::of(select(vec!['!', '\'', 'é'])), negated())
                .prop_map(|(operand, pattern, escape, negated)| ExprKind::Like { operand, pattern, escape, negated }),
            case.prop_map(|(operand, branches, otherwise)| ExprKind::Case { operand, branches, otherwise }),
            (boxed(), type_name()).prop_map(|(operand, ty)| ExprKind::Cast { operand, ty }),
            call,
            name().prop_map(move |function| ExprKind::Call { function, args: star() }),
            (name(), some(inner.clone()), any::<bool>(), option::of(boxed())).prop_map(
                |(function, args, distinct, filter)| ExprKind::Aggregate {
                    function,
                    args,
                    distinct: distinct || filter.is_none(),
                    filter,
                }
            ),
            list().prop_map(ExprKind::Array),
            prop::collection::vec((inner.clone(), inner.clone()), 0..3).prop_map(ExprKind::Map),
            prop::collection::vec((name(), inner.clone()), 0..3).prop_map(ExprKind::Struct),
            (boxed(), name()).prop_map(|(base, field)| ExprKind::Field { base, field }),
            (boxed(), boxed()).prop_map(|(base, index)| ExprKind::Subscript { base, index }),
        ]
        .prop_map(|kind| Expr::new(kind, HERE))
    })
}

fn time_span() -> impl Strategy<Value = Duration> {
    select(vec![0, 1, 999, 1_000, 90_000, 3_600_000, 86_400_000, 400_000_000_000]).prop_map(Duration::from_millis)
}

fn relation() -> impl Strategy<Value = Relation> {
    (source(), option::of(source())).prop_map(|(source, alias)| Relation { source, alias })
}

fn join() -> impl Strategy<Value = Join> {
    let kind = select(vec![JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full]);
    let within = (time_span(), time_span(), option::of(time_span())).prop_map(|(before, after, grace)| Within {
        before,
        after,
        grace,
    });
    (kind, relation(), option::of(within), expr()).prop_map(|(kind, relation, within, on)| Join {
        kind,
        relation,
        within,
        on,
        span: HERE,
    })
}

fn window() -> impl Strategy<Value = WindowClause> {
    let kind = prop_oneof![
        time_span().prop_map(|size| WindowKind::Tumbling { size }),
        (time_span(), time_span()).prop_map(|(size, advance)| WindowKind::Hopping { size, advance }),
        time_span().prop_map(|gap| WindowKind::Session { gap }),
    ];
    (kind, option::of(time_span()), option::of(time_span())).prop_map(|(kind, retention, grace)| WindowClause {
        kind,
        retention,
        grace,
        span: HERE,
    })
}

fn select_item() -> impl Strategy<Value = SelectItem> {
    let base = (name(), name()).prop_map(|(column, field)| {
        let base = Box::new(Expr::column(column));
        Expr::new(ExprKind::Field { base, field }, HERE)
    });
    prop_oneof![
        (expr(), option::of(ident())).prop_map(|(expr, alias)| SelectItem::Expr { expr, alias }),
        option::of(source()).prop_map(|qualifier| SelectItem::Star { qualifier, span: HERE }),
        base.prop_map(|base| SelectItem::StructStar { base, span: HERE }),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let exprs = || prop::collection::vec(expr(), 0..3);
    let emit = option::of(select(vec![Emit::Changes, Emit::Final]));
    (
        (some(select_item()), relation(), prop::collection::vec(join(), 0..2), option::of(window())),
        (option::of(expr()), exprs(), exprs(), option::of(expr()), emit, option::of(0..100_u64)),
    )
        .prop_map(|((select, from, joins, window), (filter, group_by, partition_by, having, emit, limit))| Query {
            select,
            from,
            joins,
            window,
            filter,
            group_by,
            partition_by,
            having,
            emit,
            limit,
            span: HERE,
        })
}

fn properties(names: Vec<&'static str>) -> impl Strategy<Value = Vec<Property>> {
    let property = (select(names), literal()).prop_map(|(name, value)| Property {
        name: Ident { name: name.into(), span: HERE },
        value,
        value_span: HERE,
    });
    prop::collection::vec(property, 0..3)
}

fn with() -> impl Strategy<Value = Vec<Property>> {
    properties(vec!["KAFKA_TOPIC", "PARTITIONS", "A.B", "SELECT", "IT'S", ""])
}

fn source_kind() -> impl Strategy<Value = SourceKind> {
    select(vec![SourceKind::Stream, SourceKind::Table])
}

fn creation() -> impl Strategy<Value = StatementKind> {
    let role = prop_oneof![
        Just(ColumnDefinitionRole::Value),
        Just(ColumnDefinitionRole::Key),
        Just(ColumnDefinitionRole::PrimaryKey),
        Just(ColumnDefinitionRole::Headers),
        text().prop_map(ColumnDefinitionRole::Header),
    ];
    let column = (ident(), type_name(), role).prop_map(|(name, ty, role)| ColumnDefinition { name, ty, role });
    let flags = || (any::<bool>(), any::<bool>(), any::<bool>());
    let connector = properties(vec!["connector.class", "x", "X"])
        .prop_filter("a connector has properties", |properties| !properties.is_empty());
    prop_oneof![
        (flags(), source_kind(), source(), prop::collection::vec(column, 0..3), with()).prop_map(
            |((or_replace, read_only, if_not_exists), kind, name, columns, with)| {
                let create = CreateSource { or_replace, read_only, kind, if_not_exists, name, columns, with };
                StatementKind::CreateSource(Box::new(create))
            }
        ),
        (flags(), source_kind(), source(), with(), query()).prop_map(
            |((or_replace, if_not_exists, _), kind, name, with, query)| {
                let create = CreateSourceAs { or_replace, kind, if_not_exists, name, with, query };
                StatementKind::CreateSourceAs(Box::new(create))
            }
        ),
        (any::<bool>(), ident(), type_name()).prop_map(|(if_not_exists, name, ty)| StatementKind::CreateType {
            if_not_exists,
            name,
            ty
        }),
        (flags(), ident(), prop::collection::vec((ident(), type_name()), 0..3), type_name(), expr()).prop_map(
            |((or_replace, if_not_exists, _), name, params, returns, body)| {
                let create = CreateFunction { or_replace, if_not_exists, name, params, returns, body };
                StatementKind::CreateFunction(Box::new(create))
            }
        ),
        (any::<bool>(), ident()).prop_map(|(if_exists, name)| StatementKind::DropFunction { if_exists, name }),
        (any::<bool>(), any::<bool>(), ident(), connector).prop_map(|(is_source, if_not_exists, name, with)| {
            StatementKind::CreateConnector { is_source, if_not_exists, name, with }
        }),
        (any::<bool>(), ident()).prop_map(|(if_exists, name)| StatementKind::DropType { if_exists, name }),
        (any::<bool>(), ident()).prop_map(|(if_exists, name)| StatementKind::DropConnector { if_exists, name }),
        (source_kind(), any::<bool>(), source(), any::<bool>()).prop_map(|(kind, if_exists, name, delete_topic)| {
            StatementKind::DropSource { kind, if_exists, name, delete_topic }
        }),
        (source_kind(), source(), some((ident(), type_name())))
            .prop_map(|(kind, name, columns)| StatementKind::AlterSource { kind, name, columns }),
    ]
}

fn question() -> impl Strategy<Value = StatementKind> {
    let extended = any::<bool>;
    prop_oneof![
        Just(StatementKind::ShowProperties),
        (any::<bool>(), extended()).prop_map(|(all, extended)| StatementKind::ShowTopics { all, extended }),
        (source_kind(), extended()).prop_map(|(kind, extended)| StatementKind::ShowSources { kind, extended }),
        Just(StatementKind::ShowFunctions),
        option::of(any::<bool>()).prop_map(|sources| StatementKind::ShowConnectors { sources }),
        Just(StatementKind::ShowConnectorPlugins),
        Just(StatementKind::ShowTypes),
        Just(StatementKind::ShowVariables),
        extended().prop_map(|extended| StatementKind::ShowQueries { extended }),
        (source(), extended()).prop_map(|(name, extended)| StatementKind::Describe { name, extended }),
        (source_kind(), extended()).prop_map(|(kind, extended)| StatementKind::DescribeSources { kind, extended }),
        ident().prop_map(|name| StatementKind::DescribeFunction { name }),
        ident().prop_map(|name| StatementKind::DescribeConnector { name }),
        ident().prop_map(|id| StatementKind::ExplainQuery { id }),
    ]
}

fn steering() -> impl Strategy<Value = StatementKind> {
    let topic = || text().prop_map(|name| TopicName { name, span: HERE });
    let selector = || prop_oneof![Just(QuerySelector::All), ident().prop_map(QuerySelector::One)];
    let variable = || select(vec!["X", "MY_VAR", "KEY"]).prop_map(Name::from);
    let schema = (option::of(topic()), option::of(any::<i32>()))
        .prop_filter("a schema is named or numbered", |(subject, id)| subject.is_some() || id.is_some())
        .prop_map(|(subject, id)| Assertion::Schema { subject, id });
    let what = prop_oneof![(topic(), with()).prop_map(|(topic, with)| Assertion::Topic { topic, with }), schema];
    prop_oneof![
        (source(), with(), query()).prop_map(|(target, with, query)| StatementKind::InsertSelect {
            target,
            with,
            query: Box::new(query)
        }),
        (source(), prop::collection::vec(ident(), 0..3), prop::collection::vec(expr(), 0..3)).prop_map(
            |(target, columns, values)| {
                StatementKind::InsertValues(Box::new(InsertValues { target, columns, values }))
            }
        ),
        (topic(), any::<bool>(), option::of(0..9_u64), option::of(0..9_u64)).prop_map(
            |(topic, from_beginning, interval, limit)| {
                StatementKind::Print { topic, from_beginning, interval, limit }
            }
        ),
        selector().prop_map(StatementKind::Terminate),
        selector().prop_map(StatementKind::Pause),
        selector().prop_map(StatementKind::Resume),
        (text(), text()).prop_map(|(name, value)| StatementKind::Set { name, value }),
        text().prop_map(|name| StatementKind::Unset { name }),
        (text(), text()).prop_map(|(name, value)| StatementKind::AlterSystem { name, value }),
        (variable(), text()).prop_map(|(name, value)| StatementKind::Define { name, value }),
        variable().prop_map(|name| StatementKind::Undefine { name }),
        (any::<bool>(), what, option::of(time_span())).prop_map(|(negated, what, timeout)| StatementKind::Assert {
            negated,
            what,
            timeout
        }),
    ]
}

fn statement() -> impl Strategy<Value = StatementKind> {
    let plain = prop_oneof![
        query().prop_map(|query| StatementKind::Query(Box::new(query))),
        creation(),
        question(),
        steering()
    ];
    (plain, any::<bool>()).prop_map(|(kind, explained)| {
        if explained {
            StatementKind::ExplainStatement { statement: Box::new(Statement { kind, span: HERE }) }
        } else {
            kind
        }
    })
}

proptest! {
    #[test]
    fn printed_expressions_parse_to_themselves(expr in expr()) {
        let sql = expr.to_string();
        let parsed = parse_expression(&sql).map_err(|error| TestCaseError::fail(format!("{sql}\n{error}")))?;
        prop_assert_eq!(&parsed, &expr, "{}", sql);
    }

    #[test]
    fn printed_statements_parse_to_themselves(kind in statement()) {
        let sql = format!("{kind};");
        let parsed = parse_statements(&sql).map_err(|error| TestCaseError::fail(format!("{sql}\n{error}")))?;
        prop_assert_eq!(parsed.len(), 1);
        prop_assert_eq!(&parsed[0].kind, &kind, "{}", sql);
    }
}

#[test]
fn masked_statements_hold_no_values() {
    for (sql, printed) in [
        ("INSERT INTO s (a, b) VALUES (1, 'x');", "INSERT INTO S (A, B) VALUES ('[value]', '[value]')"),
        (
            "EXPLAIN CREATE SINK CONNECTOR c WITH ('connector.class'='x', 'password'='y');",
            "EXPLAIN CREATE SINK CONNECTOR C WITH ('connector.class'='x', 'password'='[string]')",
        ),
        ("SET 'a' = 'b';", "SET 'a'='b'"),
    ] {
        assert_eq!(masked(&parse_statements(sql).unwrap()[0]), printed);
    }
}
