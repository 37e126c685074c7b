//! Single objects with several clients: each operation takes effect at one moment within its call, unless the
//! object is made to be weaker.

use std::collections::VecDeque;
use std::io::{self, Write};

use super::random::Random;
use super::{Isolation, Kind, Log, Spec};

const CAS_VALUES: u64 = 5;
const ACCOUNTS: u64 = 8;
const BALANCE: i64 = 100;

/// An operation of a client.
#[derive(Clone)]
struct Op {
    f: &'static str,
    asked: String,
    /// What it is about, as numbers.
    args: [i64; 3],
}

/// What became of it when it took effect.
#[derive(Clone)]
struct Effect {
    value: String,
    happened: bool,
}

enum Client {
    Idle,
    Invoked(Op),
    Done(Op, Effect),
}

/// The object, and what it was a while ago.
struct Object {
    kind: Kind,
    value: Option<i64>,
    /// Register values before, for stale reads.
    before: VecDeque<Option<i64>>,
    items: VecDeque<i64>,
    accounts: Vec<i64>,
    next: i64,
}

pub(super) fn generate(spec: &Spec, out: &mut dyn Write) -> io::Result<()> {
    let mut log = Log { out, index: 0 };
    let mut random = Random::new(spec.seed);
    let mut object = Object {
        kind: spec.kind,
        value: None,
        before: VecDeque::new(),
        items: VecDeque::new(),
        accounts: vec![BALANCE; ACCOUNTS as usize],
        next: 0,
    };
    let mut clients: Vec<Client> = (0..spec.clients.max(1)).map(|_| Client::Idle).collect();
    let count = clients.len() as u64;
    let mut processes: Vec<u64> = (0..count).collect();
    let (mut invoked, mut running) = (0, 0);
    while invoked < spec.txns || running > 0 {
        let at = random.below(count) as usize;
        match std::mem::replace(&mut clients[at], Client::Idle) {
            Client::Idle if invoked < spec.txns => {
                let op = object.plan(&mut random);
                log.line(processes[at], "invoke", op.f, format_args!("{}", op.asked))?;
                clients[at] = Client::Invoked(op);
                invoked += 1;
                running += 1;
            }
            Client::Idle => {}
            Client::Invoked(op) => clients[at] = begin(spec, &mut object, op, &mut random),
            Client::Done(op, effect) => {
                running -= 1;
                if random.chance(spec.info_per_mille) {
                    log.line(processes[at], "info", op.f, format_args!("{}", op.asked))?;
                    processes[at] += count;
                } else {
                    let kind = if effect.happened { "ok" } else { "fail" };
                    log.line(processes[at], kind, op.f, format_args!("{}", effect.value))?;
                }
            }
        }
    }
    Ok(())
}

fn begin(spec: &Spec, object: &mut Object, op: Op, random: &mut Random) -> Client {
    let is_lost = random.chance(spec.fail_per_mille);
    let effect = if is_lost {
        Effect { value: op.asked.clone(), happened: false }
    } else {
        object.take_effect(spec.isolation, &op, random)
    };
    Client::Done(op, effect)
}

impl Object {
    fn plan(&mut self, random: &mut Random) -> Op {
        let op = |f, asked: String, args| Op { f, asked, args };
        let read = |f| op(f, "null".to_owned(), [0; 3]);
        let chance = random.below(3);
        match self.kind {
            Kind::Register if chance == 0 => {
                self.next += 1;
                op("write", self.next.to_string(), [self.next, 0, 0])
            }
            Kind::CasRegister if chance == 0 => {
                let value = random.below(CAS_VALUES) as i64;
                op("write", value.to_string(), [value, 0, 0])
            }
            Kind::CasRegister if chance == 1 => {
                let (old, new) = (random.below(CAS_VALUES) as i64, random.below(CAS_VALUES) as i64);
                op("cas", format!("[{old},{new}]"), [old, new, 0])
            }
            Kind::Set if random.below(10) > 0 => {
                self.next += 1;
                op("add", self.next.to_string(), [self.next, 0, 0])
            }
            Kind::Queue if chance > 0 => {
                self.next += 1;
                op("enqueue", self.next.to_string(), [self.next, 0, 0])
            }
            Kind::Queue => read("dequeue"),
            Kind::Bank if chance > 0 => {
                let (from, to) = (random.below(ACCOUNTS) as i64, random.below(ACCOUNTS) as i64);
                let amount = 1 + random.below(5) as i64;
                let asked = format!("{{\"from\":{from},\"to\":{to},\"amount\":{amount}}}");
                op("transfer", asked, [from, to, amount])
            }
            _ => read("read"),
        }
    }

    fn take_effect(&mut self, isolation: Isolation, op: &Op, random: &mut Random) -> Effect {
        let is_weak = isolation != Isolation::Serializable && random.below(20) == 0;
        let done = |value: String| Effect { value, happened: true };
        match op.f {
            "write" if is_weak && isolation == Isolation::LostUpdate => done(op.asked.clone()),
            "write" => {
                self.set(op.args[0]);
                done(op.asked.clone())
            }
            "cas" => {
                let happened = self.value == Some(op.args[0]) || is_weak;
                if happened {
                    self.set(op.args[1]);
                }
                Effect { value: op.asked.clone(), happened }
            }
            "add" | "enqueue" => {
                if !is_weak {
                    self.items.push_back(op.args[0]);
                }
                done(op.asked.clone())
            }
            "dequeue" => match self.items.pop_front() {
                Some(item) => {
                    if is_weak {
                        self.items.push_front(item);
                    }
                    done(item.to_string())
                }
                None => Effect { value: "null".to_owned(), happened: false },
            },
            "transfer" => self.transfer(op, is_weak),
            _ => done(self.read(is_weak)),
        }
    }

    fn set(&mut self, value: i64) {
        self.before.push_back(self.value);
        if self.before.len() > 8 {
            self.before.pop_front();
        }
        self.value = Some(value);
    }

    fn transfer(&mut self, op: &Op, is_weak: bool) -> Effect {
        let [from, to, amount] = op.args;
        let happened = self.accounts[from as usize] >= amount;
        if happened {
            self.accounts[from as usize] -= amount;
            // A weak database forgets the second half.
            self.accounts[to as usize] += if is_weak { 0 } else { amount };
        }
        Effect { value: op.asked.clone(), happened }
    }

    fn read(&self, is_weak: bool) -> String {
        match self.kind {
            Kind::Set => {
                let items: Vec<String> = self.items.iter().map(i64::to_string).collect();
                format!("[{}]", items.join(","))
            }
            Kind::Bank => {
                let accounts: Vec<String> = self
                    .accounts
                    .iter()
                    .enumerate()
                    .map(|(at, balance)| format!("\"{at}\":{balance}"))
                    .collect();
                format!("{{{}}}", accounts.join(","))
            }
            _ => {
                let value = self.before.front().filter(|_| is_weak).copied().unwrap_or(self.value);
                value.map_or("null".to_owned(), |value| value.to_string())
            }
        }
    }
}
