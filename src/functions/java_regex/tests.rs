//! Patterns beside Java's answers.

use super::Pattern;

/// Every match as `[match|group|…]`, an absent group as `-`.
fn all(pattern: &str, text: &str) -> String {
    let pattern = match Pattern::compile(pattern) {
        Ok(pattern) => pattern,
        Err(error) => return error,
    };
    let mut shown = Vec::new();
    let done: Result<(), String> = pattern.find_all(text, |found, _, _| {
        let groups: Vec<_> = (0..pattern.groups()).map(|i| found.get(i).unwrap_or("-")).collect();
        shown.push(format!("[{}]", groups.join("|")));
        Ok(())
    });
    done.map_or_else(|error| error, |()| shown.concat())
}

#[test]
fn patterns_mean_what_they_mean_in_java() {
    let mut wrong = Vec::new();
    for (pattern, text, expected) in [
        ("a(b)?", "abac", "[ab|b][a|-]"),
        ("a*", "aab", "[aa][][]"),
        ("", "ab", "[][][]"),
        // Classes are ASCII.
        (r"\d+", "1٣", "[1]"),
        (r"\w+", "aé_1", "[a][_1]"),
        (r"(?U)\w+", "aé_1", "[aé_1]"),
        (r"\S+", "a\u{a0}b c", "[a\u{a0}b][c]"),
        (r"[\D&&[^a]]", "1ab", "[b]"),
        (r"[a-z&&[^bc]]+", "abcd", "[a][d]"),
        (r"[+--a~~]+", "+,-a~b", "[+,-a~]"),
        (r"[\[\]^-]+", "[]^-a", "[[]^-]"),
        (r"\p{Alpha}\p{Lu}\p{IsAlphabetic}\P{L}", "aÀé1", "[aÀé1]"),
        (r"\p{Punct}+", "a!~b", "[!~]"),
        // Line ends.
        (".+", "a\rb\u{2028}c", "[a][b][c]"),
        ("(?s).+", "a\nb", "[a\nb]"),
        ("(?s:.).", "\nb\n", "[\nb]"),
        ("b$", "ab\n", "[b]"),
        ("b$", "ab\r\n", "[b]"),
        ("b$", "ab\nb\n\n", ""),
        (r"b\z", "ab\n", ""),
        (r"b\Z", "ab\n", "[b]"),
        ("(?m)^a$", "a\na", "[a][a]"),
        (r"\R", "\r\n\n", "[\r\n][\n]"),
        // Quoting and escapes.
        (r"\Qa.b\E.", "a.bc", "[a.bc]"),
        (r"\u0041\x42\0103\cD", "ABC\u{4}", "[ABC\u{4}]"),
        (r"\ud83d\ude00", "😀", "[😀]"),
        (r"\<\/\-\é", "</-é", "[</-é]"),
        (r"[\x41-\u0043]+", "ABCD", "[ABC]"),
        ("(?x) a b # c", "ab", "[ab]"),
        // What needs to go back.
        (r"(.)\1", "abbc", "[bb|b]"),
        (r"(a)\10", "aa0", "[aa0|a]"),
        (r"\d+(?= EUR)", "7, 12 EUR", "[12]"),
        (r"(?<!a)b", "abb", "[b]"),
        (r"(?<=\$)\d+", "5 $6", "[6]"),
        ("a++a", "aaa", ""),
        ("a*+b", "aab", "[aab]"),
        ("(?>a|ab)c", "abc", ""),
        ("a{1,2}+a", "aaa", "[aaa]"),
        (r"\G\d", "12a3", "[1][2]"),
        // What is none.
        ("(", "", "unclosed group"),
        ("a)", "", "unmatched closing ')'"),
        ("[a", "", "unclosed character class"),
        ("*a", "", "dangling meta character '*'"),
        ("a**", "", "dangling meta character '*'"),
        ("a{,2}", "", "illegal repetition"),
        (r"\y", "", r"illegal/unsupported escape sequence \y"),
        (r"\p{InGreek}", "", "unknown character property name {InGreek}"),
        (r"(?q)a", "", "unknown inline modifier"),
        (r"a\", "", "a backslash ends the pattern"),
    ] {
        let found = all(pattern, text);
        if found != expected {
            wrong.push(format!("{pattern} on {text:?}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn steps_length_and_nesting_are_bounded() {
    let text = "a".repeat(40);
    assert_eq!(all(r"(?=(a+)+$)(a+)+b\1?$", &text), "the pattern needs more than 500000 steps on this text");
    let long = format!("(?=a){}", "a".repeat(20_000));
    assert_eq!(all(&long, "a"), "a pattern with look-around or back references has at most 16384 bytes");
    for (open, close) in [("(", ")"), ("[", "]"), ("(?=", ")")] {
        let deep = format!("{}a{}", open.repeat(100_000), close.repeat(100_000));
        assert!(all(&deep, "a").contains("nested deeper than 100"), "{open}");
    }
}
