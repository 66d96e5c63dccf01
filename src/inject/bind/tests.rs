use super::*;
use crate::inject::report::Notes;

fn read(text: &str) -> Value {
    super::super::yaml::read(text).unwrap().remove(0)
}

/// What becomes of a container, the port that was found, and whether it listens on loopback now.
fn bound(container: &str) -> (Value, Option<u16>, bool, Vec<super::super::Finding>) {
    let mut value = read(container);
    let recognised = recognise(&value);
    let port = recognised.port;
    let app = port.or(recognised.default_port()).unwrap_or(8000);
    let mut notes = Notes::default();
    let done = bind(&mut value, "app", &recognised, app, &mut notes);
    (value, port, done, notes.findings)
}

/// Each row: a container; the port that is found in it; what it becomes.
const TURNED: &[(&str, Option<u16>, &str)] = &[
    // uvicorn
    (
        "command: [uvicorn, app:app, --host, 0.0.0.0, --port, '8001']",
        Some(8001),
        "command: [uvicorn, app:app, --host, 127.0.0.1, --port, '8001']",
    ),
    (
        "command: [python3.12, -u, -m, uvicorn]\nargs: [app:app, '--host=::']",
        None,
        "command: [python3.12, -u, -m, uvicorn]\nargs: [app:app, --host=127.0.0.1]",
    ),
    (
        "command: [uvicorn, app:app]",
        None,
        "command: [uvicorn, app:app]\nenv: [{name: UVICORN_HOST, value: 127.0.0.1}]",
    ),
    (
        "env: [{name: UVICORN_HOST, value: 0.0.0.0}, {name: UVICORN_PORT, value: '80'}]",
        Some(80),
        "env: [{name: UVICORN_HOST, value: 127.0.0.1}, {name: UVICORN_PORT, value: '80'}]",
    ),
    (
        "command: [uvicorn, app:app, --host, $(HOST), --port, $(PORT)]\nenv: [{name: HOST, value: 0.0.0.0}, {name: PORT, value: '81'}]",
        Some(81),
        "command: [uvicorn, app:app, --host, 127.0.0.1, --port, $(PORT)]\nenv: [{name: HOST, value: 0.0.0.0}, {name: PORT, value: '81'}]",
    ),
    (
        "command: [sh, -c, 'alembic upgrade head && exec uvicorn app:app --host ${HOST:-0.0.0.0} --port ${PORT:-8002}']",
        Some(8002),
        "command: [sh, -c, 'alembic upgrade head && exec uvicorn app:app --host 127.0.0.1 --port ${PORT:-8002}']",
    ),
    // gunicorn
    (
        "command: [gunicorn, -b, '0.0.0.0:8000', -k, uvicorn.workers.UvicornWorker, app:app]",
        Some(8000),
        "command: [gunicorn, -b, '127.0.0.1:8000', -k, uvicorn.workers.UvicornWorker, app:app]",
    ),
    (
        "command: [poetry, run, gunicorn, '--bind=:$(PORT)', app]\nenv: [{name: PORT, value: '5000'}]",
        Some(5000),
        "command: [poetry, run, gunicorn, '--bind=127.0.0.1:$(PORT)', app]\nenv: [{name: PORT, value: '5000'}]",
    ),
    (
        "command: [gunicorn, -c, gunicorn.conf.py, app]",
        None,
        "command: [gunicorn, -c, gunicorn.conf.py, app]\nenv: [{name: GUNICORN_CMD_ARGS, value: '--bind=127.0.0.1:8000'}]",
    ),
    (
        "env: [{name: GUNICORN_CMD_ARGS, value: '--workers=2 --bind=0.0.0.0:9000'}]",
        Some(9000),
        "env: [{name: GUNICORN_CMD_ARGS, value: '--workers=2 --bind=127.0.0.1:9000'}]",
    ),
    (
        "command: [gunicorn, app]\nenv: [{name: GUNICORN_CMD_ARGS, value: '--workers=2'}]",
        None,
        "command: [gunicorn, app]\nenv: [{name: GUNICORN_CMD_ARGS, value: '--workers=2 --bind=127.0.0.1:8000'}]",
    ),
    (
        "command: [gunicorn, -b, $(BIND), app]\nenv: [{name: BIND, valueFrom: {configMapKeyRef: {name: c, key: bind}}}]",
        None,
        "command: [gunicorn, -b, '127.0.0.1:8000', app]\nenv: [{name: BIND, valueFrom: {configMapKeyRef: {name: c, key: bind}}}]",
    ),
    // others of Python
    (
        "command: [hypercorn, app:app, --bind, '[::]:8000']",
        Some(8000),
        "command: [hypercorn, app:app, --bind, '127.0.0.1:8000']",
    ),
    (
        "command: [hypercorn, app:app]",
        None,
        "command: [hypercorn, --bind, '127.0.0.1:8000', app:app]",
    ),
    (
        "command: [daphne, -b, 0.0.0.0, -p, '8000', app:app]",
        Some(8000),
        "command: [daphne, -b, 127.0.0.1, -p, '8000', app:app]",
    ),
    (
        "command: [daphne, app:app]",
        None,
        "command: [daphne, app:app]",
    ),
    (
        "command: [granian, --interface, asgi, app:app]",
        None,
        "command: [granian, --interface, asgi, app:app]\nenv: [{name: GRANIAN_HOST, value: 127.0.0.1}]",
    ),
    (
        "command: [waitress-serve, --port=8080, app:app]",
        Some(8080),
        "command: [waitress-serve, --host=127.0.0.1, --port=8080, app:app]",
    ),
    (
        "command: [waitress-serve, '--listen=*:8080', app:app]",
        Some(8080),
        "command: [waitress-serve, '--listen=127.0.0.1:8080', app:app]",
    ),
    (
        "command: [fastapi, run, main.py, --port, '80']",
        Some(80),
        "command: [fastapi, run, --host, 127.0.0.1, main.py, --port, '80']",
    ),
    (
        "command: [flask, --app, web, run, -h, 0.0.0.0, -p, '5001']",
        Some(5001),
        "command: [flask, --app, web, run, -h, 127.0.0.1, -p, '5001']",
    ),
    (
        "command: [flask, run]",
        None,
        "command: [flask, run]\nenv: [{name: FLASK_RUN_HOST, value: 127.0.0.1}]",
    ),
    (
        "command: [python, manage.py, runserver, '0.0.0.0:8000', --noreload]",
        Some(8000),
        "command: [python, manage.py, runserver, '127.0.0.1:8000', --noreload]",
    ),
    (
        "command: [./manage.py, runserver, '8001']",
        Some(8001),
        "command: [./manage.py, runserver, '127.0.0.1:8001']",
    ),
    (
        "command: [python, manage.py, runserver]",
        None,
        "command: [python, manage.py, runserver]",
    ),
    (
        "command: [streamlit, run, app.py, --server.address=0.0.0.0]",
        None,
        "command: [streamlit, run, app.py, --server.address=127.0.0.1]",
    ),
    (
        "command: [python, -m, http.server, '8000']",
        None,
        "command: [python, -m, http.server, --bind, 127.0.0.1, '8000']",
    ),
    // the JVM
    (
        "command: [java, -Dserver.address=0.0.0.0, -jar, app.jar, --server.port=8090]",
        Some(8090),
        "command: [java, -Dserver.address=127.0.0.1, -jar, app.jar, --server.port=8090]",
    ),
    (
        "env: [{name: SPRING_PROFILES_ACTIVE, value: prod}, {name: SERVER_PORT, value: '8090'}]",
        Some(8090),
        "env: [{name: SPRING_PROFILES_ACTIVE, value: prod}, {name: SERVER_PORT, value: '8090'}, {name: SERVER_ADDRESS, value: 127.0.0.1}]",
    ),
    (
        "env: [{name: SERVER_ADDRESS, value: 0.0.0.0}]",
        None,
        "env: [{name: SERVER_ADDRESS, value: 127.0.0.1}]",
    ),
    (
        "env: [{name: JAVA_TOOL_OPTIONS, value: '-Xmx1g -Dserver.address=0.0.0.0 -Dserver.port=9000'}]",
        Some(9000),
        "env: [{name: JAVA_TOOL_OPTIONS, value: '-Xmx1g -Dserver.address=127.0.0.1 -Dserver.port=9000'}]",
    ),
    (
        "env: [{name: QUARKUS_HTTP_PORT, value: '8081'}]",
        Some(8081),
        "env: [{name: QUARKUS_HTTP_PORT, value: '8081'}, {name: QUARKUS_HTTP_HOST, value: 127.0.0.1}]",
    ),
    (
        "env: [{name: MICRONAUT_SERVER_HOST, value: 0.0.0.0}]",
        None,
        "env: [{name: MICRONAUT_SERVER_HOST, value: 127.0.0.1}]",
    ),
    // .NET
    (
        "env: [{name: ASPNETCORE_URLS, value: 'http://+:8080;https://+:8443'}]",
        Some(8080),
        "env: [{name: ASPNETCORE_URLS, value: 'http://127.0.0.1:8080;https://127.0.0.1:8443'}]",
    ),
    (
        "env: [{name: ASPNETCORE_HTTP_PORTS, value: '8081'}]",
        Some(8081),
        "env: [{name: ASPNETCORE_HTTP_PORTS, value: '8081'}, {name: ASPNETCORE_URLS, value: 'http://127.0.0.1:8081'}]",
    ),
    (
        "command: [dotnet, App.dll, --urls, 'http://*:5000']",
        Some(5000),
        "command: [dotnet, App.dll, --urls, 'http://127.0.0.1:5000']",
    ),
    (
        "command: [dotnet, App.dll]\nenv: [{name: Kestrel__Endpoints__Http__Url, value: 'http://0.0.0.0:7000'}]",
        Some(7000),
        "command: [dotnet, App.dll]\nenv: [{name: Kestrel__Endpoints__Http__Url, value: 'http://127.0.0.1:7000'}]",
    ),
    // JavaScript
    (
        "command: [npx, next, start, -p, '3001']",
        Some(3001),
        "command: [npx, next, start, -H, 127.0.0.1, -p, '3001']",
    ),
    (
        "command: [node, node_modules/.bin/next, start, --hostname, 0.0.0.0]",
        None,
        "command: [node, node_modules/.bin/next, start, --hostname, 127.0.0.1]",
    ),
    (
        "command: [node, .output/server/index.mjs]\nenv: [{name: NITRO_PORT, value: '3002'}]",
        Some(3002),
        "command: [node, .output/server/index.mjs]\nenv: [{name: NITRO_PORT, value: '3002'}, {name: NITRO_HOST, value: 127.0.0.1}]",
    ),
    (
        "command: [node, server.js]\nenv: [{name: HOST, value: 0.0.0.0}, {name: PORT, value: '3000'}]",
        Some(3000),
        "command: [node, server.js]\nenv: [{name: HOST, value: 127.0.0.1}, {name: PORT, value: '3000'}]",
    ),
    (
        "command: [http-server, -p, '8080', dist]",
        Some(8080),
        "command: [http-server, -a, 127.0.0.1, -p, '8080', dist]",
    ),
    (
        "command: [deno, serve, --port, '8000', main.ts]",
        Some(8000),
        "command: [deno, serve, --host, 127.0.0.1, --port, '8000', main.ts]",
    ),
    // Ruby
    (
        "command: [./bin/rails, server]",
        None,
        "command: [./bin/rails, server, -b, 127.0.0.1]",
    ),
    (
        "command: [bundle, exec, rails, s, -b, 0.0.0.0, -p, '3000']",
        Some(3000),
        "command: [bundle, exec, rails, s, -b, 127.0.0.1, -p, '3000']",
    ),
    (
        "command: [bundle, exec, puma, -C, config/puma.rb]\nenv: [{name: PORT, value: '3000'}]",
        Some(3000),
        "command: [bundle, exec, puma, -b, 'tcp://127.0.0.1:3000', -C, config/puma.rb]\nenv: [{name: PORT, value: '3000'}]",
    ),
    (
        "command: [puma, -b, 'tcp://0.0.0.0:3000']",
        Some(3000),
        "command: [puma, -b, 'tcp://127.0.0.1:3000']",
    ),
    (
        "command: [puma, -p, '3000', -w, '2']",
        Some(3000),
        "command: [puma, --bind, 'tcp://127.0.0.1:3000', -w, '2']",
    ),
    (
        "command: [rackup, --port=9292, -o0.0.0.0]",
        Some(9292),
        "command: [rackup, --port=9292, -o127.0.0.1]",
    ),
    // PHP and Rust
    (
        "command: [php, -S, '0.0.0.0:8000', -t, public]",
        Some(8000),
        "command: [php, -S, '127.0.0.1:8000', -t, public]",
    ),
    (
        "command: [php, artisan, serve]",
        None,
        "command: [php, artisan, serve, --host=127.0.0.1]",
    ),
    (
        "env: [{name: ROCKET_ADDRESS, value: 0.0.0.0}, {name: ROCKET_PORT, value: '8000'}]",
        Some(8000),
        "env: [{name: ROCKET_ADDRESS, value: 127.0.0.1}, {name: ROCKET_PORT, value: '8000'}]",
    ),
    // flags and variables that many programs have
    (
        "command: [/server, '--listen=:8080', --log, info]",
        Some(8080),
        "command: [/server, '--listen=127.0.0.1:8080', --log, info]",
    ),
    (
        "args: [--host, 0.0.0.0, --port, '9001']",
        Some(9001),
        "args: [--host, 127.0.0.1, --port, '9001']",
    ),
    (
        "args: [-addr, '0.0.0.0:9000']",
        Some(9000),
        "args: [-addr, '127.0.0.1:9000']",
    ),
    (
        "command: [/server]\nenv: [{name: LISTEN_ADDR, value: ':7000'}]",
        Some(7000),
        "command: [/server]\nenv: [{name: LISTEN_ADDR, value: '127.0.0.1:7000'}]",
    ),
    (
        "command: [tini, -g, --, /bin/bash, -lc, '/server --host \"0.0.0.0\" > /dev/stdout']",
        None,
        "command: [tini, -g, --, /bin/bash, -lc, '/server --host \"127.0.0.1\" > /dev/stdout']",
    ),
];

#[test]
fn every_listed_server_is_turned_to_loopback() {
    for (before, port, after) in TURNED {
        let (value, found, done, findings) = bound(before);
        assert_eq!(
            serde_json::to_string(&value).unwrap(),
            serde_json::to_string(&read(after)).unwrap(),
            "{before}"
        );
        assert_eq!(found, *port, "{before}");
        assert!(done, "{before}: {findings:?}");
        assert!(!findings.is_empty(), "{before}");
    }
}

/// What is turned is left alone the next time: flags that were added are found.
#[test]
fn what_was_turned_stays_as_it_is() {
    for (before, _, after) in TURNED {
        let (value, _, done, findings) = bound(after);
        assert_eq!(value, read(after), "{before}");
        assert!(done, "{before}");
        let changed: Vec<_> = findings
            .iter()
            .filter(|finding| finding.kind == super::super::FindingKind::Changed)
            .collect();
        // A reference becomes what it stands for, once.
        assert!(changed.is_empty(), "{before}: {changed:?}");
    }
}

#[test]
fn every_server_of_the_table_has_a_row() {
    let found: std::collections::BTreeSet<&str> = TURNED
        .iter()
        .filter_map(|(before, ..)| recognise(&read(before)).server.map(|server| server.name))
        .collect();
    for server in SERVERS {
        assert!(found.contains(server.name), "{}", server.name);
        assert!(
            !server.programs.is_empty() || !server.signs.is_empty(),
            "{}",
            server.name
        );
    }
}

/// Containers, and what the operator is told about them.
const UNKNOWN: &[(&str, &str)] = &[
    ("image: x", "the image says what is run"),
    (
        "image: x\nenvFrom: [{configMapRef: {name: c}}]",
        "envFrom may say",
    ),
    (
        "command: [node, server.js]",
        "(many frameworks read HOST): `node` is not known",
    ),
    ("command: [java, -jar, app.jar]", "SERVER_ADDRESS"),
    (
        "command: [nginx, -g, 'daemon off;']",
        "(`listen` in its configuration)",
    ),
    (
        "command: [./bin/thrust, ./bin/rails, server]",
        "it is a proxy itself",
    ),
    ("command: [php, -S]", "nothing tells PHP's built-in server"),
    (
        "command: [/server, --host, db.example.org]",
        "`server` is not known",
    ),
    (
        "command: [/server, --listen, 10.0.0.1:8000]",
        "`server` is not known",
    ),
    (
        "command: [/server]\nenv: [{name: HOST, value: db.example.org}]",
        "`server` is not known",
    ),
    (
        "command: [/server]\nenv: [{name: HOST, valueFrom: {secretKeyRef: {name: s, key: k}}}]",
        "`server` is not known",
    ),
    (
        "command: [/server, '--metrics=:9100', '--port', '8000']",
        "`server` is not known",
    ),
    (
        "env: [{name: SERVER_ADDRESS, valueFrom: {configMapKeyRef: {name: c, key: k}}}]",
        "the value of SERVER_ADDRESS is not in the manifest",
    ),
    (
        "command: [uvicorn, app:app, --uds, /run/app.sock]",
        "Unix socket",
    ),
    (
        "command: [gunicorn, -b, 'unix:/run/app.sock', app]",
        "Unix socket",
    ),
];

/// What is not known stays as it is, and the operator is told.
#[test]
fn what_is_not_known_is_not_guessed() {
    for (container, told) in UNKNOWN {
        let (value, _, done, findings) = bound(container);
        let told_of = |finding: &super::super::Finding| {
            finding.kind == super::super::FindingKind::ToDo && finding.text.contains(told)
        };
        assert!(findings.iter().any(told_of), "{container}: {findings:?}");
        assert!(!done, "{container}");
        assert_eq!(value, read(container), "{container}");
    }
}

/// A second listener of a program is not the application's.
#[test]
fn other_ports_stay_as_they_are() {
    let before = "command: [/server, '--listen=:8080', '--http-addr=:9100', '--bind=0.0.0.0']";
    let (value, port, done, _) = bound(before);
    assert_eq!(port, Some(8080));
    assert!(done);
    let text = serde_json::to_string(&value).unwrap();
    assert!(
        text.contains("127.0.0.1:8080") && text.contains("--http-addr=:9100"),
        "{text}"
    );
    assert!(text.contains("--bind=127.0.0.1\""), "{text}");
}
