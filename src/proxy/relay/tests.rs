use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    (client.unwrap(), accepted.unwrap().0)
}

/// Bytes that differ from one place to the next, and from one direction to the other.
fn content(length: usize, seed: u8) -> Vec<u8> {
    let byte = |at: usize| (at as u8).wrapping_mul(31) ^ (at >> 8) as u8 ^ (at >> 16) as u8;
    (0..length).map(|at| byte(at).wrapping_add(seed)).collect()
}

/// Carries one direction to its end; whether it went through pipes, and the bytes counted.
async fn carry(mut from: TcpStream, mut to: TcpStream) -> (bool, usize) {
    let (mut direction, mut spliced, mut counted) = (Direction::default(), false, 0);
    std::future::poll_fn(|cx| {
        let polled = direction.poll(cx, &mut from, &mut to, &mut |bytes| counted += bytes);
        spliced |= matches!(direction.held, Held::Pipe(_));
        polled
    })
    .await
    .unwrap();
    (spliced, counted)
}

#[tokio::test]
async fn bulk_goes_through_a_pipe_and_arrives_as_it_was_sent() {
    let (mut sender, from) = connected().await;
    let (to, mut receiver) = connected().await;
    let sent = content(8 << 20, 0);
    let mut arrived = Vec::new();
    let (carried, _, read) = tokio::join!(
        carry(from, to),
        async {
            sender.write_all(&sent).await.unwrap();
            sender.shutdown().await.unwrap();
        },
        receiver.read_to_end(&mut arrived),
    );
    assert_eq!(read.unwrap(), sent.len());
    assert!(arrived == sent, "it came otherwise");
    assert_eq!(carried, (true, sent.len()));
}

#[tokio::test]
async fn what_is_small_is_copied() {
    let (mut sender, from) = connected().await;
    let (to, mut receiver) = connected().await;
    let messages = async {
        for _ in 0..100 {
            sender.write_all(b"a message").await.unwrap();
            receiver.read_exact(&mut [0; 9]).await.unwrap();
        }
        sender.shutdown().await.unwrap();
    };
    let (carried, ()) = tokio::join!(carry(from, to), messages);
    assert_eq!(carried, (false, 900));
}

#[tokio::test]
async fn bulk_that_turns_into_messages_arrives_message_by_message() {
    let (mut sender, from) = connected().await;
    let (to, mut receiver) = connected().await;
    let sent = content(4 << 20, 7);
    let exchange = async {
        let mut arrived = vec![0; sent.len()];
        let (written, read) =
            tokio::join!(sender.write_all(&sent), receiver.read_exact(&mut arrived));
        written.unwrap();
        read.unwrap();
        assert!(arrived == sent, "it came otherwise");
        for _ in 0..50 {
            sender.write_all(b"a message").await.unwrap();
            let mut message = [0; 9];
            receiver.read_exact(&mut message).await.unwrap();
            assert_eq!(&message, b"a message");
        }
        sender.shutdown().await.unwrap();
    };
    let ((spliced, counted), ()) = tokio::join!(carry(from, to), exchange);
    assert!(spliced);
    assert_eq!(counted, sent.len() + 450);
}

#[test]
fn a_pipe_that_is_dropped_with_bytes_in_it_is_not_used_again() {
    let (mut one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    io::Write::write_all(&mut one, b"secret").unwrap();
    let mut pipe = Pipe::borrow().unwrap();
    assert_eq!(pipe.fill(&other), Ok(6));
    drop(pipe);
    io::Write::write_all(&mut one, b"next").unwrap();
    let mut pipe = Pipe::borrow().unwrap();
    assert_eq!(pipe.fill(&other), Ok(4));
    assert_eq!(pipe.drain(&one), Ok(4));
    let mut read = [0; 16];
    let length = io::Read::read(&mut &other, &mut read).unwrap();
    assert_eq!(&read[..length], b"next");
}
