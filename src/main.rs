fn main() -> std::process::ExitCode {
    optc::cli::main()
}
