//! Turning what was found to loopback.

use super::{Flag, Recognised, bind_variables, flags, literal, positional};
use crate::inject::address::{Form, LOOPBACK, is_everywhere, is_loopback, to_loopback};
use crate::inject::environment::{
    Variable, has_more, resolve, resolve_port, set_variable, variable,
};
use crate::inject::object::Value;
use crate::inject::report::Notes;
use crate::inject::servers::{FLAGS, HINTS, Otherwise, Server, VARIABLES};
use crate::inject::words::{Place, Words};

/// Turns the application to loopback, and says what was done. Whether something tells now that it listens there.
pub(crate) fn bind(
    container: &mut Value,
    name: &str,
    recognised: &Recognised,
    port: u16,
    notes: &mut Notes,
) -> bool {
    let mut binder = Binder {
        words: Words::of(container),
        container,
        name,
        port,
        notes,
        sockets: false,
        hidden: Vec::new(),
    };
    let done = match recognised.server {
        Some(server) => binder.server(server, recognised),
        None => {
            binder.notes.found(name, format!("port {port}"));
            binder.any(&recognised.command)
        }
    };
    binder.finish(done, recognised)
}

struct Binder<'a> {
    container: &'a mut Value,
    words: Words,
    name: &'a str,
    port: u16,
    notes: &'a mut Notes,
    /// It listens on something that is no port.
    sockets: bool,
    /// Variables that would decide, and whose values are elsewhere.
    hidden: Vec<&'static str>,
}

impl Binder<'_> {
    fn server(&mut self, server: &'static Server, recognised: &Recognised) -> bool {
        let named = format!("{}, by {}; port {}", server.name, recognised.by, self.port);
        self.notes.found(self.name, named);
        let command = &recognised.command;
        self.sockets = !flags(&self.words, command, server.socket).is_empty();
        if self.sockets {
            return false;
        }
        let mut told = self.replace(command, server.host, Form::Host);
        told |= self.replace(command, server.bind, server.form);
        if server.positional {
            told |= self.replace_all(
                positional(&self.words, command, recognised.program),
                "the address",
                server.form,
            );
        }
        told |= self.port_binds(command, server);
        told |= self.flag_variables(server);
        if self.sockets {
            return false;
        }
        // Flags of a command line come before variables, whatever these say.
        told || self.variables(server) || self.otherwise(server, recognised)
    }

    fn replace(&mut self, command: &[Place], names: &[&str], form: Form) -> bool {
        let mut told = false;
        for name in names {
            told |= self.replace_all(flags(&self.words, command, &[name]), name, form);
        }
        told
    }

    fn replace_all(&mut self, flags: Vec<Flag>, name: &str, form: Form) -> bool {
        let mut told = false;
        for flag in flags {
            // A value that is a variable alone holds all of it; where that is not in the manifest, the port is known all the same.
            let value = match (resolve(self.container, &flag.value), form) {
                (Some(value), _) => value.to_owned(),
                (None, Form::Host) => LOOPBACK.to_owned(),
                (None, Form::HostPort | Form::PortOrHostPort) => {
                    format!("{LOOPBACK}:{}", self.port)
                }
                (None, Form::Urls) => format!("http://{LOOPBACK}:{}", self.port),
            };
            match to_loopback(&value, form) {
                Some(address) => {
                    told = true;
                    self.say(name, &flag.value, &address.text);
                    if address.text != flag.value {
                        self.words
                            .replace(flag.place, format!("{}{}", flag.before, address.text));
                    }
                }
                None => self.sockets = true,
            }
        }
        told
    }

    /// A port flag that binds to everything, whatever else is bound, gives way to one that binds to loopback.
    fn port_binds(&mut self, command: &[Place], server: &'static Server) -> bool {
        let Some((name, before)) = server.port_binds else {
            return false;
        };
        let flags = flags(&self.words, command, server.port);
        for flag in &flags {
            let address = format!("{before}{LOOPBACK}:{}", flag.value);
            self.say("port", &flag.value, &format!("{name} {address}"));
            if flag.name == flag.place {
                self.words.replace(flag.place, format!("{name}={address}"));
            } else {
                self.words.replace(flag.name, name.to_owned());
                self.words.replace(flag.place, address);
            }
        }
        !flags.is_empty()
    }

    fn say(&mut self, what: &str, before: &str, after: &str) {
        if before == after {
            self.notes
                .found(self.name, format!("{what} {before}: loopback already"));
        } else {
            self.notes
                .changed(self.name, format!("{what} {before} → {after}"));
        }
    }

    /// Flags that stand in variables.
    fn flag_variables(&mut self, server: &'static Server) -> bool {
        let mut told = false;
        for variable in server.flag_variables {
            let Some(held) = literal(self.container, variable).map(str::to_owned) else {
                continue;
            };
            let words: Vec<String> = held
                .split(' ')
                .map(|word| {
                    let Some((flag, value)) = word.split_once('=') else {
                        return word.to_owned();
                    };
                    let form = if server.host.contains(&flag) {
                        Form::Host
                    } else {
                        server.form
                    };
                    let ours = server.host.contains(&flag) || server.bind.contains(&flag);
                    match ours.then(|| to_loopback(value, form)).flatten() {
                        Some(address) => {
                            told = true;
                            self.say(&format!("{variable}: {flag}"), value, &address.text);
                            format!("{flag}={}", address.text)
                        }
                        None => word.to_owned(),
                    }
                })
                .collect();
            let words = words.join(" ");
            if words != held {
                set_variable(self.container, variable, &words);
            }
        }
        told
    }

    fn variables(&mut self, server: &'static Server) -> bool {
        let mut told = false;
        for name in server.host_variables {
            match variable(self.container, name) {
                Some(Variable::Literal(value)) => {
                    let value = value.to_owned();
                    told |= self.set(name, &value, Form::Host);
                }
                Some(Variable::Elsewhere) => self.hidden.push(name),
                None => {}
            }
        }
        let bound: Vec<(String, String)> = bind_variables(self.container, server)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        for (name, value) in bound {
            told |= self.set(&name, &value, server.form);
        }
        told
    }

    fn set(&mut self, name: &str, value: &str, form: Form) -> bool {
        let Some(address) = to_loopback(value, form) else {
            return false;
        };
        self.say(&format!("variable {name}"), value, &address.text);
        if address.text != value {
            set_variable(self.container, name, &address.text);
        }
        true
    }

    fn otherwise(&mut self, server: &'static Server, recognised: &Recognised) -> bool {
        if !self.hidden.is_empty() {
            return false;
        }
        let fill = |text: &str| text.replace("{port}", &self.port.to_string());
        match server.otherwise {
            Otherwise::Loopback => {
                let says = format!("{} listens on loopback unless told otherwise", server.name);
                self.notes.found(self.name, says);
                true
            }
            Otherwise::Variable(name, value) => {
                let value = fill(value);
                let held = literal(self.container, name).unwrap_or_default().to_owned();
                let value = if held.is_empty() {
                    value
                } else {
                    format!("{held} {value}")
                };
                set_variable(self.container, name, &value);
                self.notes
                    .changed(self.name, format!("variable {name}={value} added"));
                true
            }
            Otherwise::Flags(flags) => {
                let Some(program) = recognised.program else {
                    return false;
                };
                let flags: Vec<String> = flags.iter().map(|flag| fill(flag)).collect();
                self.words.insert_after(program, &flags);
                self.notes
                    .changed(self.name, format!("{} added", flags.join(" ")));
                true
            }
            Otherwise::Unknown => false,
        }
    }

    /// Flags and variables that many programs have, where they hold what is everybody's.
    fn any(&mut self, command: &[Place]) -> bool {
        let mut told = false;
        for name in FLAGS {
            for flag in flags(&self.words, command, &[name]) {
                if self.is_of_the_app(&flag.value) {
                    told |= self.replace_all(vec![flag], name, Form::HostPort);
                }
            }
        }
        for name in VARIABLES {
            match variable(self.container, name) {
                Some(Variable::Literal(value)) if self.is_of_the_app(value) => {
                    let value = value.to_owned();
                    told |= self.set(name, &value, Form::HostPort);
                }
                Some(_) | None => {}
            }
        }
        told
    }

    /// Another port is another listener: metrics, a debugger.
    fn is_of_the_app(&self, value: &str) -> bool {
        let port = to_loopback(value, Form::HostPort).and_then(|address| address.port);
        let same = |port: String| resolve_port(self.container, &port) == Some(self.port);
        (is_everywhere(value) || is_loopback(value)) && port.is_none_or(same)
    }

    fn finish(self, done: bool, recognised: &Recognised) -> bool {
        self.words.write(self.container);
        let Self {
            container,
            name,
            port,
            notes,
            sockets,
            hidden,
            ..
        } = self;
        if sockets {
            notes.ask(name, "it listens on a Unix socket or an inherited one: let `upstream` name it (unix:/path, in a volume that both containers mount)");
            return false;
        }
        if done {
            return true;
        }
        let why = if let Some(hidden) = hidden.first() {
            format!("the value of {hidden} is not in the manifest")
        } else if let Some(server) = recognised.server {
            format!("nothing tells {} where to listen", server.name)
        } else if let Some(runs) = &recognised.runs {
            format!("`{runs}` is not known")
        } else if has_more(container) {
            "the image says what is run, and envFrom may say where it listens".to_owned()
        } else {
            "the image says what is run".to_owned()
        };
        let hint = recognised
            .runs
            .as_deref()
            .and_then(|runs| HINTS.iter().find(|(name, _)| *name == runs));
        let hint = hint
            .map(|(_, hint)| format!(" ({hint})"))
            .unwrap_or_default();
        notes.ask(
            name,
            format!("let it listen on {LOOPBACK}:{port} only{hint}: {why}, and while it listens on more, callers go around the proxy"),
        );
        false
    }
}
