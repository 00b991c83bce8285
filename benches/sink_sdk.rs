//! The SDK's line of `benches/sink.rs` in a program of its own: an allocator is chosen for a whole program, and this one has
//! the system's, as a program that merely adds the SDK has.

#[path = "sink/sdk.rs"]
#[allow(dead_code, reason = "the other program computes the rates")]
mod sdk;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["run", url, items] => sdk::write(url, items.parse().expect("a number")).print(),
        // Asked by the other program, which then runs it.
        _ => println!(
            "{}",
            std::env::current_exe().expect("this program").display()
        ),
    }
}
