//! One pod, or one template of pods.

mod application;
mod plan;
mod tell;

use super::bind::{self, Recognised, recognise};
use super::object::{
    Value, child, edit_list, look, look_list, look_port, look_text, map, set, text,
};
use super::options::{Options, Sidecar};
use super::probes::{self, Asked};
use super::report::Notes;
use super::shape::{Listener, Shape};
use super::sidecar;
use super::starter::{self, Starter, Trust};
use application::{app_port, application, declared, names};
use plan::{Plan, plan};

/// What is known beside the pod itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) options: &'a Options,
    /// The name of the ConfigMap when no option says it.
    pub(crate) config_map: &'a str,
    /// The text of the configuration, where it is known.
    pub(crate) config: Option<&'a str>,
    /// Whose tokens a configuration that we write trusts.
    pub(crate) trust: Option<&'a Trust>,
    /// A Job: it ends by itself, and serves nobody unless it says so.
    pub(crate) job: bool,
    /// Whether the cluster has the sleep action of hooks (Kubernetes 1.30).
    pub(crate) sleeps: bool,
}

impl Order<'_> {
    fn sidecar(&self) -> Sidecar {
        self.options.sidecar.unwrap_or(Sidecar::Native)
    }
}

/// What other objects must know.
#[derive(Debug)]
pub(crate) struct Injected {
    /// Where the proxy stands before the application; `None` where it does not.
    pub(crate) front: Option<Front>,
    pub(crate) config_map: String,
    /// The configuration that we wrote.
    pub(crate) config: Option<String>,
}

/// From which port to which callers are led.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    pub(crate) app: u16,
    /// Names of the application's port.
    pub(crate) names: Vec<String>,
    pub(crate) listen: u16,
}

/// Puts the proxy into `template` (what has `metadata` and `spec`). `None`: it is there already.
pub(crate) fn inject(
    template: &mut Value,
    order: &Order<'_>,
    notes: &mut Notes,
) -> Result<Option<Injected>, String> {
    let spec = look(template, &["spec"]).ok_or("it has no spec")?;
    if all_containers(spec).any(|one| look_text(one, &["name"]) == Some(sidecar::NAME)) {
        notes.left("", "the proxy is there already");
        return Ok(None);
    }
    refuse(spec)?;
    let at = application(spec, order.options)?;
    let app = look_list(spec, &["containers"])
        .get(at)
        .ok_or("it has no containers")?;
    let recognised = recognise(app);
    let port = app_port(app, &recognised, order)?;
    let known = order
        .config
        .map(Shape::of)
        .transpose()
        .map_err(|error| format!("the configuration: {error}"))?;
    let plan = plan(spec, port, known, order)?;
    let mut asked = Vec::new();
    let mut front = None;
    if let (Some(app), Some(listener)) = (plan.app, plan.shape.before(plan.app).cloned()) {
        asked = stand_before(template, at, app, &listener, &recognised, notes);
        front = Some(Front {
            app,
            names: names(template, app),
            listen: listener.port,
        });
    } else if port.is_some() {
        let says =
            "the configuration has no inbound listener: the application is reached as before";
        notes.left("", says);
    }
    let (shape, config) = configuration(&plan, order, front.as_ref(), &asked)?;
    let config_map = order.options.config_map.as_deref();
    let config_map = config_map.unwrap_or(order.config_map);
    if order.config.is_none() && config.is_none() {
        tell::of_the_config_map(config_map, &plan, front.as_ref(), notes);
    }
    if let Some(front) = &front {
        tell::of_the_upstream(&shape, front, notes);
    }
    tell::of_probes(order, &shape, &asked, notes);
    add(template, order, &shape, config_map, notes);
    end(template, at, order, &shape, front.is_some(), notes);
    Ok(Some(Injected {
        front,
        config_map: config_map.to_owned(),
        config,
    }))
}

/// The configuration's shape, and its text where we write it.
fn configuration(
    plan: &Plan,
    order: &Order<'_>,
    front: Option<&Front>,
    asked: &[Asked],
) -> Result<(Shape, Option<String>), String> {
    let Some(trust) = order.trust.filter(|_| order.config.is_none()) else {
        return Ok((plan.shape.clone(), None));
    };
    let front = front.ok_or(
        "it serves nobody, so there is nothing for a starting configuration to stand before: give one with --config",
    )?;
    let text = starter::write(&Starter {
        trust,
        sidecar: order.sidecar(),
        listen: front.listen,
        probes: plan.shape.probes,
        admin: plan.admin,
        app: front.app,
        asked,
    });
    Ok((Shape::of(&text)?, Some(text)))
}

fn all_containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"]
        .into_iter()
        .flat_map(|key| look_list(spec, &[key]))
}

/// Pods that the proxy cannot protect.
fn refuse(spec: &Value) -> Result<(), String> {
    if look(spec, &["hostNetwork"]).and_then(Value::as_bool) == Some(true) {
        return Err("hostNetwork: loopback is the node's, so everything on the node would go around the proxy".to_owned());
    }
    if look_text(spec, &["os", "name"]) == Some("windows") {
        return Err("os: the image is one for Linux".to_owned());
    }
    let ours = |volume: &&Value| {
        look_text(volume, &["name"]).is_some_and(|name| name.starts_with("countersign-"))
    };
    if let Some(volume) = look_list(spec, &["volumes"]).iter().find(ours) {
        let name = look_text(volume, &["name"]).unwrap_or_default();
        return Err(format!(
            "volume {name}: names that begin with countersign- are the proxy's"
        ));
    }
    Ok(())
}

/// Turns the application to loopback and its probes to the proxy.
fn stand_before(
    template: &mut Value,
    at: usize,
    app: u16,
    listener: &Listener,
    recognised: &Recognised,
    notes: &mut Notes,
) -> Vec<Asked> {
    let mut asked = Vec::new();
    edit_list(child(template, "spec"), "containers", |containers| {
        for (number, container) in containers.iter_mut().enumerate() {
            let name = look_text(container, &["name"])
                .unwrap_or_default()
                .to_owned();
            if number == at {
                bind::bind(container, &name, recognised, app, notes);
                for (port_name, port) in declared(container)
                    .into_iter()
                    .filter(|(_, port)| *port != app)
                {
                    let port_name = port_name
                        .map(|name| format!(" ({name})"))
                        .unwrap_or_default();
                    notes.left(
                        &name,
                        format!("port {port}{port_name} is not behind the proxy"),
                    );
                }
                let published = |port: &&Value| {
                    look_port(port, &["containerPort"]) == Some(app)
                        && port.get("hostPort").is_some()
                };
                if look_list(container, &["ports"])
                    .iter()
                    .any(|port| published(&port))
                {
                    notes.ask(&name, format!("hostPort of {app}: it leads past the proxy to where nothing answers; publish {} instead", listener.port));
                }
            }
            asked.extend(probes::redirect(container, &name, app, listener, notes));
        }
    });
    asked.dedup();
    asked
}

/// The container, its volumes, the annotation.
fn add(
    template: &mut Value,
    order: &Order<'_>,
    shape: &Shape,
    config_map: &str,
    notes: &mut Notes,
) {
    let kind = order.sidecar();
    let review = order.options.token_review.unwrap_or(shape.token_review);
    let container = sidecar::container(order.options, kind, shape, review);
    let spec = child(template, "spec");
    match kind {
        // First, so that init containers that call out through it can.
        Sidecar::Native => edit_list(spec, "initContainers", |containers| {
            containers.insert(0, container)
        }),
        Sidecar::Classic => edit_list(spec, "containers", |containers| containers.push(container)),
    }
    edit_list(spec, "volumes", |volumes| {
        volumes.extend(sidecar::volumes(order.options, config_map, review))
    });
    tell::of_the_container(order, shape, config_map, notes);
    if review {
        let account = look_text(spec, &["serviceAccountName"]).unwrap_or("default");
        tell::of_token_review(account, notes);
    }
    if let Some(restart) = &shape.restart {
        let annotations = child(child(template, "metadata"), "annotations");
        let restart = text(restart.as_str());
        set(annotations, "countersign.dev/restart", restart);
    }
}

/// Enough time for the end: of the application, then of the proxy.
fn end(
    template: &mut Value,
    at: usize,
    order: &Order<'_>,
    shape: &Shape,
    serves: bool,
    notes: &mut Notes,
) {
    const APP_SECONDS: u64 = 20;
    const MARGIN: u64 = 5;
    let spec = child(template, "spec");
    let mut sleep = 0;
    if serves && order.sleeps {
        let wanted = order.options.app_sleep.unwrap_or(5);
        sleep = edit_list(spec, "containers", |containers| {
            sleep_before_the_end(containers.get_mut(at), wanted, notes)
        });
    }
    let said = look(spec, &["terminationGracePeriodSeconds"]).and_then(Value::as_u64);
    let app = sleep + said.unwrap_or(APP_SECONDS);
    let own = shape.delay + shape.deadline;
    let grace = MARGIN
        + match order.sidecar() {
            Sidecar::Native => app + own,
            Sidecar::Classic => app.max(own),
        };
    set(
        spec,
        "terminationGracePeriodSeconds",
        Value::Number(grace.into()),
    );
    notes.changed("", format!("terminationGracePeriodSeconds: {grace}"));
}

/// The application goes on serving until nobody sends any more.
fn sleep_before_the_end(app: Option<&mut Value>, seconds: u64, notes: &mut Notes) -> u64 {
    let Some(app) = app.filter(|_| seconds > 0) else {
        return 0;
    };
    let name = look_text(app, &["name"]).unwrap_or_default().to_owned();
    if look(app, &["lifecycle", "preStop"]).is_some_and(|hook| !hook.is_null()) {
        notes.left(
            &name,
            "lifecycle.preStop is its own: it should last until nobody sends any more",
        );
        return 0;
    }
    let hook = map([("sleep", map([("seconds", Value::Number(seconds.into()))]))]);
    set(child(app, "lifecycle"), "preStop", hook);
    notes.changed(
        &name,
        format!("lifecycle.preStop: it goes on serving for {seconds} s"),
    );
    seconds
}
