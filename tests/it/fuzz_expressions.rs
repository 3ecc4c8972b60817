//! Mutated date patterns, texts and zones against the oracle of `fuzz/oracles/evaluate.rs`.

use crate::mutations::Mutations;

#[path = "../../fuzz/oracles/evaluate.rs"]
mod evaluate;

/// Pieces of patterns, separated by `~`.
const OF_PATTERNS: &str = "G~GGGG~u~uuuu~y~yy~yyyy~D~DDD~M~MM~MMM~MMMM~MMMMM~L~d~dd~Q~QQQ~QQQQ~Y~YYYY~w~W~E~EEEE~e~c~F~a~h~\
    hh~K~k~H~HH~m~mm~s~ss~S~SSS~SSSSSSSSS~A~n~N~VV~z~zzzz~O~OOOO~X~XX~XXX~XXXX~XXXXX~x~xxxxx~Z~ZZZZ~ZZZZZ~p~ppp~\
    '~''~'x'~[~]~[[~]]~{~}~#~ ~-~:~/~.~T~%~_~!~\n~é~日~\0~2021~03~28~2020-02-29~23:59:60~24~12~am~PM~Mar~March~Sun~\
    Sunday~BC~AD~GMT~GMT+1~+01:00~-1800~Z~UTC~CET~Europe/Paris~America/~99999999999~-5~+12345~0~00";

/// Pieces of values, separated by `~`.
const OF_VALUES: &str = "0~1~9~10~99999999999~2147483647~9223372036854775808~.~-~+~e~E~E5~E-400~e400~d~f~x~_~ ~\t~\u{A0}~true~yes~\
    no~NaN~Infinity~2020~-02~-30~T~:~59~60~24~.123~Z~+02:00~-1800~=~==~AQ~/~é~日~\0~0000~9999~,~'";

#[test]
fn mutated_date_patterns_break_nothing() {
    run("date_patterns", OF_PATTERNS, evaluate::date_patterns);
}

#[test]
fn mutated_values_break_no_cast() {
    run("casts", OF_VALUES, evaluate::casts);
}

fn run(target: &'static str, pieces: &'static str, oracle: fn(&[u8])) {
    Mutations { target, oracle, inputs: 300, longest: 1024, pieces, around: "" }.run();
}
