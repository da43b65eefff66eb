//! Sentences of a small grammar: enough structure that a model of characters has something to learn (spelling, word
//! order, singular and plural), and made in no time.

use super::super::random::Random;

const NOUNS: [(&str, &str); 16] = [
    ("fox", "foxes"),
    ("bird", "birds"),
    ("child", "children"),
    ("farmer", "farmers"),
    ("old man", "old men"),
    ("queen", "queens"),
    ("mouse", "mice"),
    ("ship", "ships"),
    ("river", "rivers"),
    ("tree", "trees"),
    ("stone", "stones"),
    ("garden", "gardens"),
    ("letter", "letters"),
    ("song", "songs"),
    ("house", "houses"),
    ("winter", "winters"),
];
const ADJECTIVES: [&str; 10] =
    ["small", "red", "quiet", "brave", "golden", "tired", "cold", "clever", "young", "distant"];
const VERBS: [(&str, &str); 10] = [
    ("sees", "see"),
    ("loves", "love"),
    ("follows", "follow"),
    ("remembers", "remember"),
    ("finds", "find"),
    ("paints", "paint"),
    ("hears", "hear"),
    ("leaves", "leave"),
    ("watches", "watch"),
    ("sings of", "sing of"),
];
const PLACES: [&str; 8] = [
    "by the sea",
    "under the moon",
    "in the north",
    "before the rain",
    "behind the hill",
    "at dawn",
    "without a word",
    "near the bridge",
];

/// About so many characters; a sentence is not cut.
pub fn sentences(characters: usize, seed: u64) -> String {
    let mut text = String::with_capacity(characters + 200);
    let mut random = Random::new(seed, 0x7465_7874);
    while text.len() < characters {
        let start = text.len();
        let plural = noun_phrase(&mut text, &mut random);
        let verb = pick(&VERBS, &mut random);
        text.push_str(if plural { verb.1 } else { verb.0 });
        text.push(' ');
        noun_phrase(&mut text, &mut random);
        if random.unit() < 0.5 {
            text.push_str(pick(&PLACES, &mut random));
        } else {
            text.pop();
        }
        text[start..=start].make_ascii_uppercase();
        text.push_str(if random.unit() < 0.25 { ".\n" } else { ". " });
    }
    text
}

/// Writes "the small foxes "; whether it is a plural.
fn noun_phrase(text: &mut String, random: &mut Random) -> bool {
    let plural = random.unit() < 0.4;
    let noun = pick(&NOUNS, random);
    let adjective = if random.unit() < 0.4 { pick(&ADJECTIVES, random) } else { "" };
    let article = match (plural, random.below(3)) {
        (true, 0) => "many",
        (true, 1) => "two",
        (false, 0) => "this",
        (false, 1) => "every",
        _ => "the",
    };
    for word in [article, adjective, if plural { noun.1 } else { noun.0 }] {
        if !word.is_empty() {
            text.push_str(word);
            text.push(' ');
        }
    }
    plural
}

fn pick<T: Copy>(items: &[T], random: &mut Random) -> T {
    items[random.below(items.len())]
}
