//! Java's syntax of patterns in that of the crates.
//!
//! What differs: the classes `\d \w \s` are ASCII, `.` leaves out more line ends, `$` also stands before a last line end,
//! `\Q…\E` quotes, quantifiers may be possessive, classes have Java's names, and `--` in a class is no operator.

use std::iter::Peekable;
use std::str::Chars;

/// A pattern in the syntax of the crates.
#[derive(Debug, Default)]
pub(super) struct Translated {
    /// The pattern; `$` is the end of the text.
    pub(super) text: String,
    /// True if only a backtracking engine takes it.
    pub(super) backtracks: bool,
    /// The pattern for texts that end with a line end, if that makes a difference. It backtracks.
    pub(super) at_line_end: Option<String>,
}

/// How deep groups and classes may nest: the crates recurse.
const MOST_NESTED: usize = 100;

/// All characters but line ends.
const ANY: &str = r"[^\n\r\x{85}\x{2028}\x{2029}]";
/// A line end.
const LINE_END: &str = r"(?:\r\n|[\n\x0B\x0C\r\x{85}\x{2028}\x{2029}])";
/// The end of the text, or a last line end. Not between the two characters of one.
const BEFORE_LINE_END: &str = r"(?:(?<!\r)(?=\n\z)|(?=(?:\r\n|[\r\x{85}\x{2028}\x{2029}])?\z))";

/// What flags say at a place.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    /// `.` matches line ends.
    s: bool,
    /// `^` and `$` stand at lines.
    m: bool,
    /// Blanks are nothing.
    x: bool,
    /// `\d`, `\w`, `\s` are Unicode's.
    unicode: bool,
}

/// What an escape stands for.
enum Escape {
    /// A character.
    Char(char),
    /// The items of a class, as inside brackets.
    Class { items: String, negated: bool },
    /// Something that is no character.
    Other { text: String, backtracks: bool },
}

struct Translator<'a> {
    chars: Peekable<Chars<'a>>,
    out: String,
    /// The same with `$` as before a last line end.
    at_line_end: String,
    has_end: bool,
    backtracks: bool,
    flags: Flags,
    /// Flags around the open groups.
    outer: Vec<Flags>,
}

/// Translates a pattern.
///
/// # Errors
/// What is wrong with it.
pub(super) fn translate(java: &str) -> Result<Translated, String> {
    let mut translator = Translator {
        chars: java.chars().peekable(),
        out: String::with_capacity(java.len()),
        at_line_end: String::with_capacity(java.len()),
        has_end: false,
        backtracks: false,
        flags: Flags::default(),
        outer: Vec::new(),
    };
    translator.run()?;
    let Translator { out, at_line_end, has_end, backtracks, .. } = translator;
    Ok(Translated { text: out, backtracks, at_line_end: has_end.then_some(at_line_end) })
}

impl Translator<'_> {
    fn run(&mut self) -> Result<(), String> {
        // True behind something that a quantifier may follow.
        let mut is_atom = false;
        while let Some(c) = self.chars.next() {
            if self.flags.x && (c.is_ascii_whitespace() || c == '#') {
                self.comment(c);
                continue;
            }
            let is_quantified;
            (is_atom, is_quantified) = match c {
                '*' | '+' | '?' | '{' => {
                    if !is_atom {
                        return Err(format!("dangling meta character '{c}'"));
                    }
                    self.quantifier(c)?;
                    (false, true)
                }
                '|' => {
                    self.push("|");
                    (false, false)
                }
                '(' => {
                    self.open()?;
                    (false, false)
                }
                ')' => {
                    self.flags = self.outer.pop().ok_or("unmatched closing ')'")?;
                    self.push(")");
                    (true, false)
                }
                '[' => {
                    let class = self.class(0)?;
                    self.push(&class);
                    (true, false)
                }
                '.' => {
                    self.push(if self.flags.s { "(?s:.)" } else { ANY });
                    (true, false)
                }
                '$' if !self.flags.m => {
                    self.has_end = true;
                    self.out.push_str(r"\z");
                    self.at_line_end.push_str(BEFORE_LINE_END);
                    (true, false)
                }
                '\\' => {
                    if self.chars.peek() == Some(&'Q') {
                        self.chars.next();
                        self.quoted();
                    } else {
                        self.escape()?;
                    }
                    (true, false)
                }
                '^' | '$' => {
                    self.push(if c == '^' { "^" } else { "$" });
                    (true, false)
                }
                other => {
                    self.push_char(other);
                    (true, false)
                }
            };
            if is_quantified {
                match self.chars.peek() {
                    Some('?') => {
                        self.chars.next();
                        self.push("?");
                    }
                    Some('+') => {
                        self.chars.next();
                        self.push("+");
                        self.backtracks = true;
                    }
                    _ => {}
                }
            }
        }
        if self.outer.is_empty() { Ok(()) } else { Err("unclosed group".to_owned()) }
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.at_line_end.push_str(text);
    }

    fn push_char(&mut self, c: char) {
        let text = literal(c);
        self.push(&text);
    }

    fn comment(&mut self, first: char) {
        if first == '#' {
            for c in self.chars.by_ref() {
                if c == '\n' {
                    break;
                }
            }
        }
    }

    fn quantifier(&mut self, c: char) -> Result<(), String> {
        if c != '{' {
            let mut buffer = [0; 4];
            self.push(c.encode_utf8(&mut buffer));
            return Ok(());
        }
        let mut text = String::from("{");
        loop {
            match self.chars.next() {
                Some('}') if text.len() > 1 && text != "{," => break,
                Some(c) if c.is_ascii_digit() || (c == ',' && text.len() > 1 && !text.contains(',')) => text.push(c),
                _ => return Err("illegal repetition".to_owned()),
            }
        }
        text.push('}');
        self.push(&text);
        Ok(())
    }

    /// After an opening parenthesis.
    fn open(&mut self) -> Result<(), String> {
        if self.outer.len() >= MOST_NESTED {
            return Err(format!("groups are nested deeper than {MOST_NESTED}"));
        }
        if self.chars.peek() != Some(&'?') {
            self.outer.push(self.flags);
            self.push("(");
            return Ok(());
        }
        self.chars.next();
        let opening = match self.chars.peek().copied() {
            Some('=') => "(?=",
            Some('!') => "(?!",
            Some('>') => "(?>",
            Some(':') => "(?:",
            Some('<') => {
                self.chars.next();
                match self.chars.peek().copied() {
                    Some('=') => "(?<=",
                    Some('!') => "(?<!",
                    _ => return self.named(),
                }
            }
            _ => return self.inline_flags(),
        };
        self.chars.next();
        self.backtracks |= opening != "(?:";
        self.outer.push(self.flags);
        self.push(opening);
        Ok(())
    }

    /// After `(?<`.
    fn named(&mut self) -> Result<(), String> {
        let mut name = String::new();
        loop {
            match self.chars.next() {
                Some('>') if !name.is_empty() => break,
                Some(c) if c.is_ascii_alphabetic() || (c.is_ascii_digit() && !name.is_empty()) => name.push(c),
                _ => return Err("a group's name consists of letters and digits".to_owned()),
            }
        }
        self.outer.push(self.flags);
        self.push(&format!("(?P<{name}>"));
        Ok(())
    }

    /// After `(?`: flags up to `)` or `:`.
    fn inline_flags(&mut self) -> Result<(), String> {
        let mut flags = self.flags;
        let (mut on, mut off, mut is_off) = (String::new(), String::new(), false);
        let ends_group = loop {
            match self.chars.next() {
                Some('-') if !is_off => is_off = true,
                Some(')') => break true,
                Some(':') => break false,
                Some('i') => if is_off { &mut off } else { &mut on }.push('i'),
                Some('m') => {
                    flags.m = !is_off;
                    if is_off { &mut off } else { &mut on }.push('m');
                }
                Some('s') => flags.s = !is_off,
                Some('x') => flags.x = !is_off,
                Some('U') => flags.unicode = !is_off,
                Some('d' | 'u') => {}
                _ => return Err("unknown inline modifier".to_owned()),
            }
        };
        let off = if off.is_empty() { off } else { format!("-{off}") };
        if ends_group {
            self.flags = flags;
            if !on.is_empty() || !off.is_empty() {
                self.push(&format!("(?{on}{off})"));
            }
        } else {
            self.outer.push(self.flags);
            self.flags = flags;
            self.push(&format!("(?{on}{off}:"));
        }
        Ok(())
    }

    /// After `\Q`.
    fn quoted(&mut self) {
        while let Some(c) = self.chars.next() {
            if c == '\\' && self.chars.peek() == Some(&'E') {
                self.chars.next();
                return;
            }
            self.push_char(c);
        }
    }

    /// After a backslash outside of classes.
    fn escape(&mut self) -> Result<(), String> {
        match self.escaped()? {
            Escape::Char(c) => self.push_char(c),
            Escape::Class { items, negated } => {
                let text = format!("[{}{items}]", if negated { "^" } else { "" });
                self.push(&text);
            }
            Escape::Other { text, backtracks } => {
                self.backtracks |= backtracks;
                self.push(&text);
            }
        }
        Ok(())
    }

    fn escaped(&mut self) -> Result<Escape, String> {
        let Some(c) = self.chars.next() else { return Err("a backslash ends the pattern".to_owned()) };
        let class = |items: &str, negated: bool| Ok(Escape::Class { items: items.to_owned(), negated });
        let plain = |text: &str| Ok(Escape::Other { text: text.to_owned(), backtracks: false });
        match c {
            'd' | 'D' => class(if self.flags.unicode { r"\d" } else { "0-9" }, c == 'D'),
            'w' | 'W' => class(if self.flags.unicode { r"\w" } else { "a-zA-Z_0-9" }, c == 'W'),
            's' | 'S' => class(if self.flags.unicode { r"\s" } else { r" \t\n\x0B\x0C\r" }, c == 'S'),
            'h' | 'H' => class(r" \t\x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}", c == 'H'),
            'v' | 'V' => class(r"\n\x0B\x0C\r\x{85}\x{2028}\x{2029}", c == 'V'),
            'p' | 'P' => {
                let items = self.property()?;
                class(&items, c == 'P')
            }
            't' => Ok(Escape::Char('\t')),
            'n' => Ok(Escape::Char('\n')),
            'r' => Ok(Escape::Char('\r')),
            'f' => Ok(Escape::Char('\u{c}')),
            'a' => Ok(Escape::Char('\u{7}')),
            'e' => Ok(Escape::Char('\u{1b}')),
            'c' => match self.chars.next() {
                Some(c) if c.is_ascii() => Ok(Escape::Char(char::from(c as u8 ^ 64))),
                _ => Err("illegal control escape sequence".to_owned()),
            },
            '0' => self.octal().map(Escape::Char),
            'x' => self.hexadecimal().map(Escape::Char),
            'u' => self.unicode().map(Escape::Char),
            'b' | 'B' | 'A' => plain(&format!("\\{c}")),
            'z' => plain(r"\z"),
            'Z' => Ok(Escape::Other { text: BEFORE_LINE_END.to_owned(), backtracks: true }),
            'G' => Ok(Escape::Other { text: r"\G".to_owned(), backtracks: true }),
            'R' => plain(LINE_END),
            'k' => {
                let name: String = self.chars.by_ref().take_while(|c| *c != '>').collect();
                match name.strip_prefix('<') {
                    Some(name) if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                        Ok(Escape::Other { text: format!("(?:\\k<{name}>)"), backtracks: true })
                    }
                    _ => Err("\\k is not followed by '<' for named capturing group".to_owned()),
                }
            }
            '1'..='9' => Ok(Escape::Other { text: format!("(?:\\{c})"), backtracks: true }),
            c if c.is_ascii_alphabetic() => Err(format!("illegal/unsupported escape sequence \\{c}")),
            other => Ok(Escape::Char(other)),
        }
    }

    fn octal(&mut self) -> Result<char, String> {
        let mut value = 0;
        let mut digits = 0;
        while let Some(digit) = self.chars.peek().and_then(|c| c.to_digit(8)) {
            if digits == 3 || value * 8 + digit > 0o377 {
                break;
            }
            value = value * 8 + digit;
            digits += 1;
            self.chars.next();
        }
        if digits == 0 {
            return Err("illegal octal escape sequence".to_owned());
        }
        char::from_u32(value).ok_or_else(|| "illegal octal escape sequence".to_owned())
    }

    fn hexadecimal(&mut self) -> Result<char, String> {
        let wrong = || "illegal hexadecimal escape sequence".to_owned();
        let text: String = if self.chars.peek() == Some(&'{') {
            self.chars.next();
            self.chars.by_ref().take_while(|c| *c != '}').collect()
        } else {
            self.chars.by_ref().take(2).collect()
        };
        u32::from_str_radix(&text, 16).ok().and_then(char::from_u32).ok_or_else(wrong)
    }

    /// After `\u`; two surrogates make one character.
    fn unicode(&mut self) -> Result<char, String> {
        let wrong = || "illegal Unicode escape sequence".to_owned();
        let mut unit = || -> Result<u16, String> {
            let text: String = self.chars.by_ref().take(4).collect();
            u16::from_str_radix(&text, 16).map_err(|_| wrong())
        };
        let first = unit()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(u32::from(first)).ok_or_else(wrong);
        }
        if self.chars.next() != Some('\\') || self.chars.next() != Some('u') {
            return Err(wrong());
        }
        let text: String = self.chars.by_ref().take(4).collect();
        let second = u16::from_str_radix(&text, 16).map_err(|_| wrong())?;
        char::decode_utf16([first, second]).next().and_then(Result::ok).ok_or_else(wrong)
    }

    /// After `\p` or `\P`: the items of the class of this name.
    fn property(&mut self) -> Result<String, String> {
        let name: String = match self.chars.next() {
            Some('{') => self.chars.by_ref().take_while(|c| *c != '}').collect(),
            Some(c) => c.to_string(),
            None => return Err("a property has no name".to_owned()),
        };
        let ascii = match name.as_str() {
            "Lower" => "a-z",
            "Upper" => "A-Z",
            "ASCII" => r"\x00-\x7F",
            "Alpha" => "a-zA-Z",
            "Digit" => "0-9",
            "Alnum" => "a-zA-Z0-9",
            "Punct" => r"!-/:-@\[-`{-\~",
            "Graph" => r"!-\~",
            "Print" => r" -\~",
            "Blank" => r" \t",
            "Cntrl" => r"\x00-\x1F\x7F",
            "XDigit" => "0-9a-fA-F",
            "Space" => r" \t\n\x0B\x0C\r",
            "L1" => r"\x00-\x{FF}",
            "javaLowerCase" => r"\p{Lowercase}",
            "javaUpperCase" => r"\p{Uppercase}",
            "javaWhitespace" => r"\p{White_Space}",
            "javaLetter" => r"\p{L}",
            "javaDigit" => r"\p{Nd}",
            _ => "",
        };
        if !ascii.is_empty() {
            return Ok(ascii.to_owned());
        }
        let known = name.strip_prefix("Is").unwrap_or(&name);
        let is_word =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_=".contains(&b));
        if !is_word(known) || name.starts_with("In") || name.starts_with("block=") || name.starts_with("blk=") {
            return Err(format!("unknown character property name {{{name}}}"));
        }
        Ok(format!(r"\p{{{known}}}"))
    }

    /// After an opening bracket: the class, brackets included.
    fn class(&mut self, depth: usize) -> Result<String, String> {
        if depth >= MOST_NESTED {
            return Err(format!("classes are nested deeper than {MOST_NESTED}"));
        }
        let mut class = String::from("[");
        if self.chars.peek() == Some(&'^') {
            self.chars.next();
            class.push('^');
        }
        let start = class.len();
        loop {
            let c = self.chars.next().ok_or("unclosed character class")?;
            match c {
                ']' if class.len() > start => break,
                '[' => {
                    let inner = self.class(depth + 1)?;
                    class.push_str(&inner);
                }
                '&' if self.chars.peek() == Some(&'&') => {
                    self.chars.next();
                    class.push_str("&&");
                }
                '\\' if self.chars.peek() == Some(&'Q') => {
                    self.chars.next();
                    while let Some(c) = self.chars.next() {
                        if c == '\\' && self.chars.peek() == Some(&'E') {
                            self.chars.next();
                            break;
                        }
                        class.push_str(&in_class(c));
                    }
                }
                '\\' => match self.escaped()? {
                    Escape::Char(c) => class.push_str(&in_class(c)),
                    Escape::Class { items, negated: true } => class.push_str(&format!("[^{items}]")),
                    Escape::Class { items, negated: false } => class.push_str(&items),
                    Escape::Other { .. } => return Err("illegal escape in a character class".to_owned()),
                },
                // An operator only between two of them; a range or itself otherwise.
                '-' if !class.ends_with('-') => class.push('-'),
                c if self.flags.x && c.is_ascii_whitespace() => {}
                other => class.push_str(&in_class(other)),
            }
        }
        class.push(']');
        Ok(class)
    }
}

/// A character as it stands outside of classes.
fn literal(c: char) -> String {
    let mut buffer = [0; 4];
    regex::escape(c.encode_utf8(&mut buffer))
}

/// A character as it stands in a class.
fn in_class(c: char) -> String {
    if c.is_ascii_punctuation() || c.is_ascii_whitespace() { format!(r"\x{:02X}", c as u32) } else { c.to_string() }
}
