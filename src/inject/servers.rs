//! The servers that are known, and how each is told where to listen.
//!
//! Rows say what the servers' documentation says; none of them was run with what `inject` writes. What is not here is not
//! guessed: the report says so, and the operator binds it to loopback.

use super::address::Form;

/// A server, or a framework with one.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// The program and the words that follow it in this order, others between them.
    pub(crate) programs: &'static [&'static [&'static str]],
    /// Beginnings of names of variables, or of flags, that nothing else reads.
    pub(crate) signs: &'static [&'static str],
    /// Flags that take a host.
    pub(crate) host: &'static [&'static str],
    /// Flags that take host and port.
    pub(crate) bind: &'static [&'static str],
    /// Flags that take a port.
    pub(crate) port: &'static [&'static str],
    /// Flags after which it listens elsewhere than on a port.
    pub(crate) socket: &'static [&'static str],
    /// How flags and variables that take host and port are written.
    pub(crate) form: Form,
    /// Variables that hold a host; the first is the one to set.
    pub(crate) host_variables: &'static [&'static str],
    /// Variables that hold host and port.
    pub(crate) bind_variables: &'static [&'static str],
    /// Variables that hold a port.
    pub(crate) port_variables: &'static [&'static str],
    /// Variables that hold flags.
    pub(crate) flag_variables: &'static [&'static str],
    /// The flag that replaces a port flag which binds to everything, and what stands before the address.
    pub(crate) port_binds: Option<(&'static str, &'static str)>,
    /// A word without a dash after the program that is where it listens.
    pub(crate) positional: bool,
    /// Where it listens when nobody says.
    pub(crate) default_port: u16,
    /// How it is told when nothing listed does.
    pub(crate) otherwise: Otherwise,
}

/// How a server is told to listen on loopback where nothing listed tells it anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// It does by itself.
    Loopback,
    /// By a variable, `{port}` standing for the port.
    Variable(&'static str, &'static str),
    /// By flags right after the program's words.
    Flags(&'static [&'static str]),
    /// Nobody knows.
    Unknown,
}

const NONE: Server = Server {
    name: "",
    programs: &[],
    signs: &[],
    host: &[],
    bind: &[],
    port: &[],
    socket: &[],
    form: Form::HostPort,
    host_variables: &[],
    bind_variables: &[],
    port_variables: &[],
    flag_variables: &[],
    port_binds: None,
    positional: false,
    default_port: 8000,
    otherwise: Otherwise::Unknown,
};

/// Variables whose flags every JVM reads, or by convention its starting script.
const JAVA: &[&str] = &["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_OPTS"];

/// All of them.
pub(crate) const SERVERS: &[Server] = &[
    Server {
        name: "uvicorn",
        programs: &[&["uvicorn"]],
        signs: &["UVICORN_"],
        host: &["--host"],
        port: &["--port"],
        socket: &["--uds", "--fd"],
        host_variables: &["UVICORN_HOST"],
        port_variables: &["UVICORN_PORT"],
        otherwise: Otherwise::Variable("UVICORN_HOST", "127.0.0.1"),
        ..NONE
    },
    Server {
        name: "gunicorn",
        programs: &[&["gunicorn"]],
        signs: &["GUNICORN_CMD_ARGS"],
        bind: &["-b", "--bind"],
        port_variables: &["PORT"],
        flag_variables: &["GUNICORN_CMD_ARGS"],
        otherwise: Otherwise::Variable("GUNICORN_CMD_ARGS", "--bind=127.0.0.1:{port}"),
        ..NONE
    },
    Server {
        name: "hypercorn",
        programs: &[&["hypercorn"]],
        bind: &["-b", "--bind", "--insecure-bind", "--quic-bind"],
        otherwise: Otherwise::Flags(&["--bind", "127.0.0.1:{port}"]),
        ..NONE
    },
    Server {
        name: "daphne",
        programs: &[&["daphne"]],
        host: &["-b", "--bind"],
        port: &["-p", "--port"],
        socket: &["-u", "--unix-socket", "--fd", "-e", "--endpoint"],
        otherwise: Otherwise::Loopback,
        ..NONE
    },
    Server {
        name: "granian",
        programs: &[&["granian"]],
        signs: &["GRANIAN_"],
        host: &["--host"],
        port: &["--port"],
        socket: &["--uds"],
        host_variables: &["GRANIAN_HOST"],
        port_variables: &["GRANIAN_PORT"],
        otherwise: Otherwise::Variable("GRANIAN_HOST", "127.0.0.1"),
        ..NONE
    },
    Server {
        name: "waitress",
        programs: &[&["waitress-serve"]],
        host: &["--host"],
        bind: &["--listen"],
        port: &["--port"],
        socket: &["--unix-socket"],
        default_port: 8080,
        otherwise: Otherwise::Flags(&["--host=127.0.0.1"]),
        ..NONE
    },
    Server {
        name: "fastapi",
        programs: &[&["fastapi", "run"], &["fastapi", "dev"]],
        host: &["--host"],
        port: &["--port"],
        otherwise: Otherwise::Flags(&["--host", "127.0.0.1"]),
        ..NONE
    },
    Server {
        name: "flask run",
        programs: &[&["flask", "run"]],
        signs: &["FLASK_RUN_"],
        host: &["-h", "--host"],
        port: &["-p", "--port"],
        host_variables: &["FLASK_RUN_HOST"],
        port_variables: &["FLASK_RUN_PORT"],
        default_port: 5000,
        otherwise: Otherwise::Variable("FLASK_RUN_HOST", "127.0.0.1"),
        ..NONE
    },
    Server {
        name: "Django runserver",
        programs: &[
            &["manage.py", "runserver"],
            &["django-admin", "runserver"],
            &["django", "runserver"],
        ],
        form: Form::PortOrHostPort,
        positional: true,
        otherwise: Otherwise::Loopback,
        ..NONE
    },
    Server {
        name: "streamlit",
        programs: &[&["streamlit", "run"]],
        signs: &["STREAMLIT_"],
        host: &["--server.address"],
        port: &["--server.port"],
        host_variables: &["STREAMLIT_SERVER_ADDRESS"],
        port_variables: &["STREAMLIT_SERVER_PORT"],
        default_port: 8501,
        otherwise: Otherwise::Variable("STREAMLIT_SERVER_ADDRESS", "127.0.0.1"),
        ..NONE
    },
    Server {
        name: "Python's http.server",
        programs: &[&["http.server"]],
        host: &["-b", "--bind"],
        otherwise: Otherwise::Flags(&["--bind", "127.0.0.1"]),
        ..NONE
    },
    Server {
        name: "Spring Boot",
        signs: &[
            "SPRING_",
            "SERVER_ADDRESS",
            "--server.",
            "--spring.",
            "-Dserver.",
            "-Dspring.",
        ],
        host: &["--server.address", "-Dserver.address"],
        port: &["--server.port", "-Dserver.port"],
        host_variables: &["SERVER_ADDRESS"],
        port_variables: &["SERVER_PORT"],
        flag_variables: JAVA,
        default_port: 8080,
        otherwise: Otherwise::Variable("SERVER_ADDRESS", "127.0.0.1"),
        ..NONE
    },
    Server {
        name: "Quarkus",
        signs: &["QUARKUS_", "-Dquarkus."],
        host: &["-Dquarkus.http.host"],
        port: &["-Dquarkus.http.port"],
        host_variables: &["QUARKUS_HTTP_HOST"],
        port_variables: &["QUARKUS_HTTP_PORT"],
        flag_variables: JAVA,
        default_port: 8080,
        otherwise: Otherwise::Variable("QUARKUS_HTTP_HOST", "127.0.0.1"),
        ..NONE
    },
    Server {
        name: "Micronaut",
        signs: &["MICRONAUT_", "-Dmicronaut."],
        host: &["-Dmicronaut.server.host"],
        port: &["-Dmicronaut.server.port"],
        host_variables: &["MICRONAUT_SERVER_HOST"],
        port_variables: &["MICRONAUT_SERVER_PORT"],
        flag_variables: JAVA,
        default_port: 8080,
        otherwise: Otherwise::Variable("MICRONAUT_SERVER_HOST", "127.0.0.1"),
        ..NONE
    },
    Server {
        name: "ASP.NET Core",
        programs: &[&["dotnet"]],
        signs: &["ASPNETCORE_", "DOTNET_", "Kestrel__"],
        bind: &["--urls"],
        form: Form::Urls,
        bind_variables: &[
            "ASPNETCORE_URLS",
            "DOTNET_URLS",
            "URLS",
            "Kestrel__Endpoints__*__Url",
        ],
        port_variables: &["ASPNETCORE_HTTP_PORTS", "DOTNET_HTTP_PORTS", "HTTP_PORTS"],
        default_port: 8080,
        otherwise: Otherwise::Variable("ASPNETCORE_URLS", "http://127.0.0.1:{port}"),
        ..NONE
    },
    Server {
        name: "Next.js",
        programs: &[&["next", "start"], &["next", "dev"]],
        host: &["-H", "--hostname"],
        port: &["-p", "--port"],
        port_variables: &["PORT"],
        default_port: 3000,
        otherwise: Otherwise::Flags(&["-H", "127.0.0.1"]),
        ..NONE
    },
    Server {
        name: "Nitro",
        signs: &["NITRO_"],
        host_variables: &["NITRO_HOST"],
        port_variables: &["NITRO_PORT", "PORT"],
        default_port: 3000,
        otherwise: Otherwise::Variable("NITRO_HOST", "127.0.0.1"),
        ..NONE
    },
    Server {
        name: "http-server",
        programs: &[&["http-server"]],
        host: &["-a"],
        port: &["-p", "--port"],
        port_variables: &["PORT"],
        default_port: 8080,
        otherwise: Otherwise::Flags(&["-a", "127.0.0.1"]),
        ..NONE
    },
    Server {
        name: "deno serve",
        programs: &[&["deno", "serve"]],
        host: &["--host"],
        port: &["--port"],
        otherwise: Otherwise::Flags(&["--host", "127.0.0.1"]),
        ..NONE
    },
    Server {
        name: "Rails server",
        programs: &[&["rails", "server"], &["rails", "s"]],
        host: &["-b", "--binding"],
        port: &["-p", "--port"],
        port_variables: &["PORT"],
        default_port: 3000,
        otherwise: Otherwise::Flags(&["-b", "127.0.0.1"]),
        ..NONE
    },
    Server {
        name: "Puma",
        programs: &[&["puma"]],
        bind: &["-b", "--bind"],
        port: &["-p", "--port"],
        port_variables: &["PORT"],
        port_binds: Some(("--bind", "tcp://")),
        default_port: 9292,
        otherwise: Otherwise::Flags(&["-b", "tcp://127.0.0.1:{port}"]),
        ..NONE
    },
    Server {
        name: "rackup",
        programs: &[&["rackup"]],
        host: &["-o", "--host"],
        port: &["-p", "--port"],
        default_port: 9292,
        otherwise: Otherwise::Flags(&["-o", "127.0.0.1"]),
        ..NONE
    },
    Server {
        name: "PHP's built-in server",
        programs: &[&["php", "-S"]],
        bind: &["-S"],
        ..NONE
    },
    Server {
        name: "artisan serve",
        programs: &[&["artisan", "serve"], &["artisan", "octane:start"]],
        host: &["--host"],
        port: &["--port"],
        host_variables: &["SERVER_HOST"],
        port_variables: &["SERVER_PORT"],
        otherwise: Otherwise::Flags(&["--host=127.0.0.1"]),
        ..NONE
    },
    Server {
        name: "Rocket",
        signs: &["ROCKET_"],
        host_variables: &["ROCKET_ADDRESS"],
        port_variables: &["ROCKET_PORT"],
        otherwise: Otherwise::Variable("ROCKET_ADDRESS", "127.0.0.1"),
        ..NONE
    },
];

/// Flags that take an address with many programs. They count only where the address is written out and everybody's.
pub(crate) const FLAGS: &[&str] = &[
    "--addr",
    "--address",
    "--bind",
    "--bind-addr",
    "--bind-address",
    "--host",
    "--hostname",
    "--http",
    "--http-addr",
    "--http-address",
    "--http-listen-address",
    "--http.addr",
    "--interface",
    "--ip",
    "--listen",
    "--listen-addr",
    "--listen-address",
    "--listen-host",
    "--server.host",
    "--web.listen-address",
    "-addr",
    "-address",
    "-bind",
    "-host",
    "-http",
    "-http-address",
    "-listen",
    "-listen-addr",
    "-listen-address",
];

/// Variables of the same kind.
pub(crate) const VARIABLES: &[&str] = &[
    "ADDR",
    "ADDRESS",
    "API_HOST",
    "APP_HOST",
    "BIND",
    "BINDING",
    "BIND_ADDR",
    "BIND_ADDRESS",
    "BIND_HOST",
    "HOST",
    "HOSTNAME",
    "HTTP_ADDR",
    "HTTP_ADDRESS",
    "HTTP_HOST",
    "HTTP_LISTEN",
    "GRADIO_SERVER_NAME",
    "IP",
    "LISTEN",
    "LISTEN_ADDR",
    "LISTEN_ADDRESS",
    "LISTEN_HOST",
    "SERVER_ADDR",
    "SERVER_HOST",
    "SERVICE_HOST",
    "WEB_HOST",
];

/// Programs that run another one, which stands behind them.
pub(crate) const RUNNERS: &[&str] = &[
    "bundle",
    "bunx",
    "catatonit",
    "ddtrace-run",
    "doppler",
    "dumb-init",
    "env",
    "exec",
    "hatch",
    "newrelic-admin",
    "nice",
    "nohup",
    "npx",
    "opentelemetry-instrument",
    "pdm",
    "pipenv",
    "pnpm",
    "poetry",
    "rye",
    "tini",
    "uv",
    "uvx",
    "yarn",
];

/// Words of theirs that stand between.
pub(crate) const RUNNER_WORDS: &[&str] = &["exec", "run", "run-program", "dlx", "--"];

/// What an operator may need to hear about a program that is not in the table.
pub(crate) const HINTS: &[(&str, &str)] = &[
    (
        "java",
        "Spring Boot reads SERVER_ADDRESS, Quarkus QUARKUS_HTTP_HOST",
    ),
    ("node", "many frameworks read HOST"),
    ("nginx", "`listen` in its configuration"),
    ("caddy", "`bind` in its configuration"),
    ("httpd", "`Listen` in its configuration"),
    ("apache2-foreground", "`Listen` in its configuration"),
    ("thrust", "it is a proxy itself: run what is behind it"),
    ("unicorn", "`listen` in its configuration, or -l"),
];
