//! The `countersign` program.
fn main() {
    let path = std::env::args()
        .skip_while(|a| a != "--config")
        .nth(1)
        .unwrap();
    let app = countersign::app::App::start(countersign::app::Options {
        config: path.into(),
        clock: countersign::clock::Clock::system(),
        log: countersign::app::LogSink::Stdout,
        signals: true,
    });
    match app {
        Ok(app) => {
            println!("{:?} {:?}", app.address("inbound"), app.admin_address());
            app.wait().unwrap()
        }
        Err(e) => {
            eprintln!("{e}");
            std::process::exit(64)
        }
    }
}
