//! LIKE against a matcher that tries everything.

use crate::expressions::tests::oracle::{Subject, V};

/// True if the pattern from here on matches the rest of the text. `None` for a pattern that ends with its escape.
fn matches(pattern: &[char], text: &[char], escape: Option<char>) -> bool {
    let line_end = |c: char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let Some((first, rest)) = pattern.split_first() else { return text.is_empty() };
    if Some(*first) == escape {
        let (literal, rest) = rest.split_first().expect("patterns that end so were refused");
        return text.split_first().is_some_and(|(c, text)| c == literal && matches(rest, text, escape));
    }
    match first {
        '%' => {
            matches(rest, text, escape)
                || text.split_first().is_some_and(|(c, text)| !line_end(*c) && matches(pattern, text, escape))
        }
        '_' => text.split_first().is_some_and(|(c, text)| !line_end(*c) && matches(rest, text, escape)),
        literal => text.split_first().is_some_and(|(c, text)| c == literal && matches(rest, text, escape)),
    }
}

fn ends_with_escape(pattern: &str, escape: Option<char>) -> bool {
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape && chars.next().is_none() {
            return true;
        }
    }
    false
}

fn like(text: &V, pattern: &V, escape: Option<char>) -> Result<V, String> {
    let (V::Text(text), V::Text(pattern)) = (text, pattern) else { return Err("a null operand".to_owned()) };
    if ends_with_escape(pattern, escape) {
        return Err("the pattern ends with its escape".to_owned());
    }
    let chars = |text: &str| text.chars().collect::<Vec<char>>();
    Ok(V::Bool(matches(&chars(pattern), &chars(text), escape)))
}

/// Texts of few different characters, so that patterns match.
fn short(random: &mut fastrand::Rng, alphabet: &str) -> V {
    let chars: Vec<char> = alphabet.chars().collect();
    if random.u8(..9) == 0 {
        return V::Null;
    }
    V::Text((0..random.usize(..7)).map(|_| chars[random.usize(..chars.len())]).collect())
}

#[test]
fn like_matches_whole_texts() {
    let row = |random: &mut fastrand::Rng| vec![short(random, "aab%_!\n😀\u{2028}"), short(random, "aab%%_!😀\n")];
    let columns = "a STRING, b STRING";
    Subject::new("a LIKE b", columns).agrees_on(row, |row| like(&row[0], &row[1], None));
    Subject::new("a LIKE b ESCAPE '!'", columns).agrees_on(row, |row| like(&row[0], &row[1], Some('!')));
    Subject::new("a LIKE b ESCAPE '%'", columns).agrees_on(row, |row| like(&row[0], &row[1], Some('%')));
    Subject::new("a NOT LIKE b", columns)
        .agrees_on(row, |row| like(&row[0], &row[1], None).map(|truth| V::Bool(truth == V::Bool(false))));
}

#[test]
fn patterns_that_are_known_match_the_same() {
    for pattern in [
        "", "%", "%%", "_", "a", "ab", "a%", "%a", "%a%", "a%b", "a%%b", "%a%b%", "a_", "_a%", "!%", "a!_b%", "%!!",
        "😀%", "%\n%", "a%a", "aa%a", "%ab%ab%", "%_%",
    ] {
        let row = |random: &mut fastrand::Rng| vec![short(random, "aab%_!\n😀\u{2028}é")];
        let literal = V::Text(pattern.to_owned());
        Subject::new(&format!("a LIKE '{pattern}'"), "a STRING").agrees_on(row, |row| like(&row[0], &literal, None));
        Subject::new(&format!("a LIKE '{pattern}' ESCAPE '!'"), "a STRING")
            .agrees_on(row, |row| like(&row[0], &literal, Some('!')));
    }
    crate::expressions::tests::typed(
        "a LIKE 'x!' ESCAPE '!'",
        "a STRING",
        "LIKE pattern must not end with escape character",
    );
}
