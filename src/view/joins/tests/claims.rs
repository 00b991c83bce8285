//! Keys that many rows claim: who has them, who is told, and what a change costs.

use super::*;

const TABLES: &str = "
table shop.early
  id int
  name varchar(20)
  mail varchar(20) null
  note int null
  pk id
table shop.late
  name varchar(20)
  mail varchar(20) null
  note int null
  pk name
";

fn mails() -> Arc<Plan> {
    let entity = |name: &str| {
        format!(
            r#"{{"entity_type": "{name}", "source_table": "{name}", "pk_template": "M#{{mail}}", "sk_template": "X",
                "attributes": [{{"name": "who", "type": "S", "source_column": "name"}},
                               {{"name": "note", "type": "N", "source_column": "note"}}]}}"#
        )
    };
    let text = format!(
        r#"{{"tables": [{{"table": "Mails", "type": "multi-entity", "pk": "PK", "sk": "SK", "entities": [{}, {}]}}]}}"#,
        entity("early"),
        entity("late"),
    );
    plan_of(TABLES, &text)
}

/// A row of either table: number or name of its key, mail, note.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claimant {
    key: usize,
    spelt: bool,
    mail: Option<u8>,
    note: i64,
}

impl Claimant {
    /// In MySQL's order, and for each of them another spelling that is the same to it.
    const NAMES: [[&str; 2]; 5] = [
        ["aaa", "AAA"],
        ["B", "b"],
        ["ca", "Ca"],
        ["d", "D"],
        ["ea", "EA"],
    ];

    fn row(&self, source: usize) -> Row<'static> {
        let mail = self
            .mail
            .map_or(Value::Null, |m| Value::Text(format!("m{m}").into()));
        let name = Value::Text(self.name(source).into());
        let note = Value::Int(self.note);
        match source {
            0 => row_of([Value::Int(self.key as i64), name, mail, note]),
            _ => row_of([name, mail, note]),
        }
    }

    fn name(&self, source: usize) -> String {
        match source {
            0 => format!("n{}", u8::from(self.spelt)),
            _ => Self::NAMES[self.key][usize::from(self.spelt)].to_owned(),
        }
    }

    /// As dead letters name it.
    fn origin(&self, source: usize) -> (u16, String) {
        match source {
            0 => (0, self.key.to_string()),
            _ => (1, self.name(source)),
        }
    }
}

/// Who is behind whom, by projection and name; `None`: the row has no item.
type Letters = BTreeMap<(u16, String), Option<(u16, String)>>;

fn told(letters: &mut Letters, outcome: &Outcome) {
    let name = |o: &crate::pipeline::Origin| (o.projection.0, o.source_key.to_string());
    match outcome {
        Outcome::Gone(origin) => {
            letters.remove(&name(origin));
        }
        Outcome::Contested { origin, owner } => {
            letters.insert(name(origin), Some(name(owner)));
        }
        Outcome::Unmappable { origin, .. } => {
            letters.insert(name(origin), None);
        }
        Outcome::Write(mutation) => {
            if matches!(mutation.action, Action::Put { .. }) {
                letters.remove(&name(&mutation.origin));
            }
        }
    }
}

type There = BTreeMap<(usize, usize), Claimant>;

/// What must be there, from the rows alone: of each key the item of the first that claims it, and who is behind it.
fn expected(there: &There) -> (BTreeMap<u8, String>, Letters) {
    let (mut owners, mut letters) = (BTreeMap::new(), Letters::new());
    for ((source, _), claimant) in there {
        let origin = claimant.origin(*source);
        let Some(mail) = claimant.mail else {
            letters.insert(origin, None);
            continue;
        };
        match owners.get(&mail) {
            None => {
                owners.insert(mail, (origin, claimant.name(*source)));
            }
            Some((owner, _)) => {
                letters.insert(origin, Some(owner.clone()));
            }
        }
    }
    let names = owners.into_iter().map(|(mail, (_, name))| (mail, name));
    (names.collect(), letters)
}

fn shown_items(items: &Items) -> BTreeMap<u8, String> {
    let field = |item: &serde_json::Value, name: &str| item[name]["S"].as_str().unwrap().to_owned();
    let items = items.values().map(|item| {
        let item: serde_json::Value = serde_json::from_slice(item).unwrap();
        let mail = field(&item, "PK")
            .trim_start_matches("M#m")
            .parse()
            .unwrap();
        (mail, field(&item, "who"))
    });
    items.collect()
}

/// Rows that come, go, change their keys, notes and names, several at a time.
#[test]
fn items_and_dead_letters_are_those_of_the_rows_that_are_there() {
    let mut rng = Rng::with_seed(seed());
    let plan = mails();
    for _ in 0..60 {
        let mut state = MemoryState::default();
        let mut joins = Joins::new(Arc::clone(&plan), &mut state).unwrap().unwrap();
        let (mut items, mut letters, mut there) = (Items::new(), Letters::new(), There::new());
        let mut keys = 0;
        for step in 0..60 {
            let mut outcomes = Vec::new();
            for _ in 0..rng.usize(1..8) {
                let (source, key) = (rng.usize(..2), rng.usize(..Claimant::NAMES.len()));
                let before = there.get(&(source, key)).cloned();
                let mut after = before.clone().unwrap_or(Claimant {
                    key,
                    spelt: false,
                    mail: Some(0),
                    note: 0,
                });
                match rng.u8(..5) {
                    0 => after.spelt = !after.spelt,
                    1 => after.note = rng.i64(..5),
                    _ => after.mail = rng.option_mail(),
                }
                let row = |claimant: &Claimant| claimant.row(source);
                let change = match &before {
                    None => Change::Insert { after: row(&after) },
                    Some(before) if rng.u8(..3) == 0 => Change::Delete {
                        before: row(before),
                    },
                    Some(before) => Change::Update {
                        before: row(before),
                        after: row(&after),
                    },
                };
                match &change {
                    Change::Delete { .. } => there.remove(&(source, key)),
                    _ => there.insert((source, key), after),
                };
                let id = SourceId(source as u16);
                joins.apply(&mut state, id, &change, &mut outcomes).unwrap();
            }
            joins
                .finish(&mut state, &mut |outcome| {
                    outcomes.push(outcome);
                    Ok(true)
                })
                .unwrap();
            if step == 10 {
                while let Some(projection) = joins.due(|_| true) {
                    outcomes.extend(joins.first_pass(&mut state, projection).unwrap().outcomes);
                }
            }
            for outcome in &outcomes {
                write(&mut items, outcome);
                told(&mut letters, outcome);
            }
            if joins.all_made() {
                let (owners, behind) = expected(&there);
                assert_eq!(shown_items(&items), owners, "step {step}");
                assert_eq!(letters, behind, "step {step}");
                let rows = there.iter().map(|((source, key), claimant)| {
                    ((*source, vec![*key as i64]), claimant.row(*source))
                });
                assert!(
                    state == fresh_state(&plan, &rows.collect()).1,
                    "step {step}"
                );
                keys += owners.len();
            }
        }
        assert!(keys > 0);
    }
}

trait Mail {
    fn option_mail(&mut self) -> Option<u8>;
}

impl Mail for Rng {
    /// Few of them, so that most are claimed by several rows.
    fn option_mail(&mut self) -> Option<u8> {
        (self.u8(..8) > 0).then(|| self.u8(..3))
    }
}

/// What each change of a key that so many rows claim reads and tells.
fn costs(claimants: usize) -> Vec<(usize, usize)> {
    let plan = mails();
    let mut counted = Counted::default();
    let mut joins = Joins::new(Arc::clone(&plan), &mut counted)
        .unwrap()
        .unwrap();
    let mut change = |joins: &mut Joins, change: Change<'_>| {
        let before = counted.reads;
        let mut outcomes = Vec::new();
        let id = SourceId(0);
        joins
            .apply(&mut counted, id, &change, &mut outcomes)
            .unwrap();
        let mut out = |outcome| {
            outcomes.push(outcome);
            Ok(true)
        };
        joins.finish(&mut counted, &mut out).unwrap();
        (counted.reads - before, outcomes.len())
    };
    let row = |key: usize, note: i64| {
        let (spelt, mail) = (false, Some(0));
        Claimant {
            key,
            spelt,
            mail,
            note,
        }
        .row(0)
    };
    for key in 0..claimants {
        change(&mut joins, Change::Insert { after: row(key, 0) });
    }
    let middle = claimants / 2;
    vec![
        change(
            &mut joins,
            Change::Insert {
                after: row(claimants, 0),
            },
        ),
        change(
            &mut joins,
            Change::Update {
                before: row(middle, 0),
                after: row(middle, 1),
            },
        ),
        change(
            &mut joins,
            Change::Update {
                before: row(0, 0),
                after: row(0, 1),
            },
        ),
        change(
            &mut joins,
            Change::Delete {
                before: row(middle, 1),
            },
        ),
    ]
}

#[test]
fn a_claim_is_compared_with_the_owner_alone() {
    assert_eq!(costs(10), costs(400));
    assert!(
        costs(10)
            .iter()
            .all(|(reads, told)| *reads < 16 && *told < 3)
    );
}

/// With keys that stand in their order the next owner is found at once, whatever their sizes and signs.
#[test]
fn the_next_owner_is_the_lowest_of_many() {
    let mut rng = Rng::with_seed(seed());
    let plan = mails();
    let mut state = MemoryState::default();
    let mut joins = Joins::new(Arc::clone(&plan), &mut state).unwrap().unwrap();
    let mut items = Items::new();
    pass(&mut joins, &mut state, &mut items);
    let mut keys: Vec<i64> = (0..40)
        .map(|_| rng.i32(..) as i64 >> rng.u32(0..31))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let row = |key: i64| {
        let text = |text: String| Value::Text(text.into());
        row_of([
            Value::Int(key),
            text(format!("n{key}")),
            text("m0".into()),
            Value::Null,
        ])
    };
    let mut arrivals = keys.clone();
    rng.shuffle(&mut arrivals);
    for key in arrivals {
        let change = Change::Insert { after: row(key) };
        transaction(&mut joins, &mut state, 0, &change, &mut items);
    }
    while !keys.is_empty() {
        assert_eq!(
            shown_items(&items),
            BTreeMap::from([(0, format!("n{}", keys[0]))])
        );
        // Owners leave, and some of the others.
        let at = if rng.bool() {
            0
        } else {
            rng.usize(..keys.len())
        };
        let before = row(keys.remove(at));
        transaction(
            &mut joins,
            &mut state,
            0,
            &Change::Delete { before },
            &mut items,
        );
    }
    assert!(items.is_empty());
}
