//! Everything that is found for a question before it is worded, part by part: numbers over records, changes of a record, fields of the
//! records it names and of those they lead to, then prose.

use ingest::schema;
use jiff::Timestamp;
use jiff::civil::Date;

use super::evidence::{Cite, Claimed, Evidence};
use super::hops::Chain;
use super::render::{How, Understood};
use super::{Context, Dossier, Question, blank, computed, facts, history, hops, parts, prose, words};
use crate::access::Principal;
use crate::compute::{self, Outcome};
use crate::llm::ChatModel;
use crate::record::Found;
use crate::retrieve::{self, Identified, Mode, RetrieveError, when};

/// Identified records whose links are followed.
const CHAINS_MAX: usize = 2;

pub(super) async fn investigate(
    context: Context<'_>,
    caller: &Principal,
    question: &Question,
    now: Timestamp,
) -> Result<Dossier, RetrieveError> {
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let named = retrieve::identify::identify(context.store, caller, &question.text).await?;
    let mut identified = named.clone();
    retrieve::identify::restrict(&mut identified, question.kinds.as_deref(), question.sources.as_deref());
    let mut dossier = Dossier {
        evidence: Vec::new(),
        claims: Vec::new(),
        derived: Vec::new(),
        computed: Vec::new(),
        not_found: Vec::new(),
        missing: Vec::new(),
        understood: Understood::new(&identified, today, when::Because::Today),
        mode: Mode::Lookup,
        passages: 0,
        sufficient: false,
        conflicts: Vec::new(),
    };
    let (left, weak) = computed_parts(context, caller, question, &named, today, &mut dossier).await?;
    if let Some(left) = left {
        let named = match left == question.text {
            true => named,
            false => retrieve::identify::identify(context.store, caller, &left).await?,
        };
        let rest = Question { text: left, ..question.clone() };
        looked_up_and_retrieved(context, caller, &rest, named, today, &mut dossier).await?;
    }
    if dossier.claims.is_empty() && dossier.derived.is_empty() {
        dossier.not_found.extend(weak);
    }
    dossier.sufficient = !dossier.claims.is_empty();
    Ok(dossier)
}

/// Computes what can be computed. Returns the text that is left for the other ways (`None`: nothing), and what was not understood in it.
async fn computed_parts(
    context: Context<'_>,
    caller: &Principal,
    question: &Question,
    identified: &[Identified],
    today: Date,
    dossier: &mut Dossier,
) -> Result<(Option<String>, Vec<String>), RetrieveError> {
    let mut weak = Vec::new();
    // Numbers are over all records that the caller may see: where only some may be cited, none is computed.
    if question.kinds.is_some() || question.sources.is_some() {
        return Ok((Some(question.text.clone()), weak));
    }
    if consider(context, caller, &question.text, identified, today, dossier, &mut weak).await? {
        return Ok((None, weak));
    }
    let parts = parts(&question.text);
    if parts.len() < 2 {
        return Ok((Some(question.text.clone()), weak));
    }
    weak.clear();
    let mut left = String::new();
    for part in parts.iter().take(super::PARTS_MAX) {
        let named = retrieve::identify::identify(context.store, caller, part).await?;
        if !consider(context, caller, part, &named, today, dossier, &mut weak).await? {
            left.push_str(part);
        }
    }
    left.extend(parts.iter().skip(super::PARTS_MAX).map(String::as_str));
    let nothing = words::stems(&left).is_empty();
    Ok((if nothing && left != question.text { None } else { Some(left) }, weak))
}

/// Whether this text was dealt with as a computation: answered, or certainly one and not understood.
async fn consider(
    context: Context<'_>,
    caller: &Principal,
    text: &str,
    identified: &[Identified],
    today: Date,
    dossier: &mut Dossier,
    weak: &mut Vec<String>,
) -> Result<bool, RetrieveError> {
    let model = context.llm.as_deref().map(|model| model as &dyn ChatModel);
    let outcome = compute::consider(context.store, model, caller, text, identified, today).await?;
    match outcome {
        Outcome::None => Ok(false),
        Outcome::NotUnderstood { words, kind, strong } => {
            let plural = compute::lexicon::profile(kind).plural;
            let said = words.iter().map(|word| format!("“{word}”")).collect::<Vec<_>>().join(", ");
            let note = format!("I did not understand {said} as a condition on {plural}, so nothing was computed");
            if strong {
                dossier.not_found.push(note)
            } else {
                weak.push(note)
            }
            Ok(strong)
        }
        Outcome::Computed(computation) => {
            let mut tx = context.store.begin_read(caller.tenant).await?;
            let stated = computed::state(&mut tx, caller, *computation, &mut dossier.evidence).await?;
            let Some(mut stated) = stated else {
                dossier.not_found.push("A number could not be confirmed from its records, so it is not stated".into());
                return Ok(true);
            };
            let first = dossier.derived.len();
            dossier.derived.extend(stated.claims.into_iter().map(|claim| (claim, How::Computed)));
            stated.computed.claims = (first..dossier.derived.len()).collect();
            dossier.computed.push(stated.computed);
            Ok(true)
        }
    }
}

/// The ways that need no computation: history, fields, linked records, prose.
async fn looked_up_and_retrieved(
    context: Context<'_>,
    caller: &Principal,
    question: &Question,
    mut identified: Vec<Identified>,
    today: Date,
    dossier: &mut Dossier,
) -> Result<(), RetrieveError> {
    // What a record is, and when, counts even where it is of a kind or source that may not be cited.
    let all: Vec<Found> = identified.iter().filter_map(|one| one.records.first().cloned()).collect();
    retrieve::identify::restrict(&mut identified, question.kinds.as_deref(), question.sources.as_deref());
    let identified = identified.as_slice();
    let named: Vec<&Found> = identified.iter().filter_map(|one| one.records.first()).collect();
    let blanked = blank(&question.text, identified);
    let marked = marked(&question.text, identified, &named);
    // As it was typed too: what was taken for a typing error may be the very word that asks.
    let asks_for_changes =
        [&marked, &ingest::text::for_matching(&blanked)].into_iter().any(|words| history::asks_for_changes(words));
    if asks_for_changes && !named.is_empty() {
        changes(context, caller, &named, &marked, today, dossier).await?;
        return Ok(());
    }
    let mut tx = context.store.begin_read(caller.tenant).await?;
    let cut = hops::marked_words(&marked);
    let mut chains = Vec::new();
    for found in named.iter().take(CHAINS_MAX) {
        let mut chain = hops::follow(&mut tx, caller, found, &cut).await?;
        chain.steps.retain(|step| question.admits(&step.from) && question.admits(&step.to));
        chain.ends.retain(|end| question.admits(end));
        chains.push(chain);
    }
    let (involved, silent) = hops::involved(&mut tx, caller, &named, &chains).await?;
    let silent: Vec<hops::Step> =
        silent.into_iter().filter(|step| question.admits(&step.from) && question.admits(&step.to)).collect();
    // A procedure is followed as it is today; the day of a record that only stands behind the one named decides about rules.
    let references: Vec<&Found> =
        if prose::asks_for_steps(&blanked) { all.iter().collect() } else { all.iter().chain(&involved).collect() };
    let (day, because) = when::policy_day(question.as_of, &question.text, &references, today);
    dossier.understood.policies_on = day.to_string();
    dossier.understood.because = because;
    let mut words = marked.clone();
    let mut hopped = false;
    for (found, chain) in named.iter().zip(&chains) {
        hopped |= chain_facts(&mut tx, caller, found, chain, &mut words, dossier).await?;
    }
    drop(tx);
    // "How many days" asks for a time, not for a quantity.
    let words = ["days", "weeks", "hours", "months"]
        .iter()
        .fold(words, |words, unit| words.replace(&format!("how many {unit}"), &format!("········ {unit}")));
    let rest = super::record_facts(context, caller, question, identified, &words, hopped, dossier).await?;
    // The kind that is asked about, not the one whose number was at hand.
    let kinds: Vec<&ingest::KindSchema> = all
        .iter()
        .zip(chains.iter().map(|chain| chain.ends.first()).chain(std::iter::repeat(None)))
        .map(|(found, end)| schema(end.unwrap_or(found).record.kind))
        .collect();
    let nouns: Vec<&str> = kinds.iter().flat_map(|kind| kind.synonyms.iter().copied().chain([kind.label])).collect();
    let labels: Vec<&str> = kinds.iter().map(|kind| kind.label).collect();
    let text = without_introductions(&question.text, identified);
    // What customers call it beside what policies call it.
    let text = text.replace("sent back", "sent back returned").replace("send back", "send back return");
    let asked = format!("{} {text}", labels.join(" "));
    let rule = prose::asks_for_steps(&blanked) || prose::asks_for_time(&blanked);
    let nothing_more = words::stems(&rest).len() < 2 && !rule;
    let enough = nothing_more && (!dossier.claims.is_empty() || !dossier.not_found.is_empty());
    if !enough {
        let first = dossier.claims.len();
        let matter = super::Matter { text: &text, asked: &asked, nouns: &nouns, rest: &rest, day, involved: &involved };
        if super::prose_facts(context, caller, question, &matter, dossier).await? {
            dossier.missing.clear();
            let rules: Vec<Claimed> = dossier.claims[first..].to_vec();
            if !named.is_empty() {
                let citable: Vec<Found> = involved.iter().filter(|found| question.admits(found)).cloned().collect();
                grounds(context, caller, &citable, &silent, &rules, because, today, dossier).await?;
            }
        }
    }
    dossier.not_found.append(&mut dossier.missing);
    let mut said = std::collections::HashSet::new();
    dossier.claims.retain(|claim| said.insert(claim.text.clone()));
    Ok(())
}

/// The question without what it names and without the words that only introduce it ("with tracking 1Z…", "order no. 12").
fn without_introductions(question: &str, identified: &[Identified]) -> String {
    const INTRODUCING: [&str; 7] = ["with", "tracking", "number", "no", "nr", "id", "code"];
    let mut text = question.to_owned();
    for one in identified.iter().rev() {
        let before = text[..one.range.start].trim_end();
        let mut start = before.len();
        // At most three words: more are part of the question.
        for _ in 0..3 {
            let head = text[..start].trim_end();
            let word = head.rsplit(char::is_whitespace).next().unwrap_or_default();
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
            if !INTRODUCING.contains(&bare.as_str()) {
                break;
            }
            start = head.len() - word.len();
        }
        text.replace_range(start..one.range.end, " ");
    }
    text.trim().to_owned()
}

/// The question folded, `§` for what it names, typing errors in the names of fields corrected.
fn marked(question: &str, identified: &[Identified], named: &[&Found]) -> String {
    let mut text = question.to_owned();
    for one in identified.iter().rev() {
        text.replace_range(one.range.clone(), " § ");
    }
    let mut known: Vec<String> = Vec::new();
    for found in named {
        let schema = schema(found.record.kind);
        for spec in schema.fields.iter().chain(schema.lines) {
            let phrases =
                std::iter::once(spec.label.to_lowercase()).chain(spec.synonyms.iter().map(|one| (*one).to_owned()));
            known.extend(phrases.flat_map(|phrase| phrase.split(' ').map(str::to_owned).collect::<Vec<_>>()));
        }
    }
    known.sort();
    known.dedup();
    let folded = ingest::text::for_matching(&text).replace("sent back", "returned ").replace("send back", "return   ");
    if known.is_empty() { folded } else { compute::tokens::corrected_text(&folded, &known) }
}

async fn changes(
    context: Context<'_>,
    caller: &Principal,
    named: &[&Found],
    words: &str,
    today: Date,
    dossier: &mut Dossier,
) -> Result<(), RetrieveError> {
    let mut tx = context.store.begin_read(caller.tenant).await?;
    for found in named.iter().take(super::RECORDS_MAX) {
        let told = history::state(&mut tx, caller, found, words, today, &mut dossier.evidence).await?;
        dossier.derived.extend(told.claims.into_iter().map(|claim| (claim, How::LookedUp)));
        dossier.not_found.extend(told.nothing);
    }
    Ok(())
}

/// States the links of a chain and the fields asked of its end; blanks in `words` what was answered. Returns whether anything was.
async fn chain_facts(
    tx: &mut crate::store::TenantTx,
    caller: &Principal,
    start: &Found,
    chain: &Chain,
    words: &mut String,
    dossier: &mut Dossier,
) -> Result<bool, RetrieveError> {
    let own = facts::asked(start, words);
    let mut claims = Vec::new();
    let mut answered: Vec<std::ops::Range<usize>> = Vec::new();
    for end in &chain.ends {
        let asked = facts::asked(end, words);
        let kind = end.record.kind;
        let mut fields = Vec::new();
        for (range, spec) in facts::places(end, words) {
            let owned = owner(words, range.end, start).is_some_and(|owner| owner == kind);
            let nobodys = !own.understood.iter().any(|other| other.start <= range.start && range.end <= other.end)
                || own.fields.is_empty() && own.missing.iter().any(|(phrase, _)| *phrase == words[range.clone()]);
            if (owned || nobodys) && asked.fields.iter().any(|one| one.name == spec.name) {
                fields.push(spec);
                answered.push(range);
            }
        }
        let direct = chain.steps.len() == 1 && chain.steps[0].forward;
        let name_only = fields.is_empty();
        // One link and no field beyond the name: `linked_names` says it with the field that was asked.
        if name_only && (direct || asks_about_rules(words)) {
            continue;
        }
        let cards = super::add_cards(tx, caller, end, dossier).await?;
        if name_only {
            let named: Vec<Claimed> =
                cards.iter().filter_map(|card| facts::named(&dossier.evidence, *card, kind)).collect();
            claims.extend(if named.is_empty() { facts::summary(&dossier.evidence, &cards, 4) } else { named });
        } else {
            let only = facts::Asked { fields, ..facts::Asked::default() };
            claims.extend(facts::claims(&dossier.evidence, &cards, &only));
        }
    }
    if claims.is_empty() {
        return Ok(false);
    }
    let links = link_claims(tx, caller, &chain.steps, dossier).await?;
    for claim in links.into_iter().chain(claims) {
        if !dossier.claims.iter().any(|other| other.text == claim.text) {
            dossier.claims.push(claim);
        }
    }
    for range in answered {
        let spaces = " ".repeat(range.len());
        words.replace_range(range, &spaces);
    }
    Ok(true)
}

fn asks_about_rules(words: &str) -> bool {
    let cut = compute::tokens::words(words).join(" ");
    compute::lexicon::RULES.iter().any(|phrase| ingest::schema::contains_phrase(&cut, phrase))
}

/// Whose field stands before `at`: the first noun behind it ("status of the order with tracking §"); of neighbouring nouns the last.
fn owner(words: &str, at: usize, start: &Found) -> Option<ingest::RecordKind> {
    let cut = compute::tokens::words(words.get(at..)?);
    let kinds = hops::kinds_named(&cut);
    let mark = cut.iter().position(|word| word == "§").unwrap_or(usize::MAX);
    let mut behind = kinds.iter().filter(|(position, _)| *position < mark);
    let mut found = behind.next().copied();
    for next in behind {
        if found.is_some_and(|(position, _)| next.0 == position + 1) {
            found = Some(*next);
        } else {
            break;
        }
    }
    let found = found.map(|(_, kind)| kind);
    found.or_else(|| (mark != usize::MAX).then_some(start.record.kind))
}

/// The fields that refer from one record to the next, as claims.
async fn link_claims(
    tx: &mut crate::store::TenantTx,
    caller: &Principal,
    steps: &[hops::Step],
    dossier: &mut Dossier,
) -> Result<Vec<Claimed>, RetrieveError> {
    let mut claims: Vec<Claimed> = Vec::new();
    for step in steps {
        let holder = if step.forward { &step.from } else { &step.to };
        let cards = super::add_cards(tx, caller, holder, dossier).await?;
        let claim = cards.iter().find_map(|card| field_claim(&dossier.evidence, *card, &step.field));
        claims.extend(claim.filter(|claim| !claims.iter().any(|other| other.text == claim.text)));
    }
    Ok(claims)
}

/// One field of a card as a claim.
fn field_claim(evidence: &[Evidence], card: usize, path: &str) -> Option<Claimed> {
    let one = &evidence[card];
    let span = one.spans.iter().find(|span| span.path == path)?;
    let line = path.strip_prefix("lines.").and_then(|rest| rest.split('.').next()?.parse::<usize>().ok());
    let place = line.map_or_else(String::new, |line| format!(", line {}", line + 1));
    let text = format!("{}{place}: {}", one.title, &one.text[span.start..span.end]);
    Some(Claimed {
        text: ingest::text::visible_marks(&text).into_owned(),
        cites: vec![Cite { evidence: card, span: span.start..span.end, field: Some(path.to_owned()) }],
    })
}

/// The facts on which a rule was chosen and which it counts from: the day that matters, whose customer it is, the term's end.
#[expect(clippy::too_many_arguments, reason = "what was found so far, each of it read once")]
async fn grounds(
    context: Context<'_>,
    caller: &Principal,
    involved: &[Found],
    silent: &[hops::Step],
    rules: &[Claimed],
    because: when::Because,
    today: Date,
    dossier: &mut Dossier,
) -> Result<(), RetrieveError> {
    let policies: Vec<&Claimed> = rules
        .iter()
        .filter(|claim| claim.cites.iter().any(|cite| dossier.evidence[cite.evidence].kind == "policy"))
        .collect();
    if policies.is_empty() {
        return Ok(());
    }
    let texts: Vec<(String, Cite)> =
        policies.iter().map(|claim| (claim.text.clone(), claim.cites[0].clone())).collect();
    let mut tx = context.store.begin_read(caller.tenant).await?;
    let mut stated: Vec<(Claimed, How)> = Vec::new();
    if because == when::Because::Record {
        let dated = involved.iter().find_map(|found| {
            ["ordered_at", "order_date"]
                .into_iter()
                .find(|name| found.record.fields.contains_key(*name))
                .map(|name| (found, name))
        });
        if let Some((found, name)) = dated {
            let cards = super::add_cards(&mut tx, caller, found, dossier).await?;
            stated.extend(
                cards
                    .iter()
                    .find_map(|card| field_claim(&dossier.evidence, *card, name))
                    .map(|claim| (claim, How::LookedUp)),
            );
        }
    }
    for one in dossier.understood.traits.clone() {
        let Some(found) = involved.iter().find(|found| found.id.to_string() == one.record_id) else { continue };
        let leads: Vec<hops::Step> = silent.iter().filter(|step| step.to.id == found.id).cloned().collect();
        let links = link_claims(&mut tx, caller, &leads, dossier).await?;
        stated.extend(links.into_iter().map(|claim| (claim, How::LookedUp)));
        let cards = super::add_cards(&mut tx, caller, found, dossier).await?;
        stated.extend(trait_claim(&dossier.evidence, &cards, &one).map(|claim| (claim, How::LookedUp)));
    }
    for (rule, cite) in texts {
        for (position, deadline) in super::deadline::deadlines(&rule, involved) {
            let found = &involved[position];
            let cards = super::add_cards(&mut tx, caller, found, dossier).await?;
            let begun = cards.iter().find_map(|card| field_claim(&dossier.evidence, *card, deadline.field));
            let Some(begun) = begun else { continue };
            let text = deadline.says(&ingest::card::title(&found.record), today);
            let cites = begun.cites.into_iter().chain([cite.clone()]).collect();
            stated.push((Claimed { text, cites }, How::Computed));
        }
    }
    for (claim, how) in stated {
        let known =
            dossier.derived.iter().map(|(other, _)| other).chain(&dossier.claims).any(|other| other.text == claim.text);
        if !known {
            dossier.derived.push((claim, how));
        }
    }
    Ok(())
}

/// The trait by which policies were chosen, where the card says it: a field, or a column that no field holds.
fn trait_claim(evidence: &[Evidence], cards: &[usize], one: &super::scope::Trait) -> Option<Claimed> {
    cards.iter().find_map(|card| {
        let own = &evidence[*card];
        if own.spans.iter().any(|span| span.path == one.key) {
            return field_claim(evidence, *card, &one.key);
        }
        let line = format!("{}: {}", one.key, one.value);
        let at = own.text.find(&format!("\n{line}"))? + 1;
        Some(Claimed {
            text: ingest::text::visible_marks(&format!("{}: {line}", own.title)).into_owned(),
            cites: vec![Cite { evidence: *card, span: at..at + line.len(), field: None }],
        })
    })
}
