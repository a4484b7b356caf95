//! A name server: every name is at the one address where TLS is served on port 443.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::UdpSocket;

/// The header of a message (RFC 1035, section 4.1.1).
const HEADER: usize = 12;
/// Seconds that an answer holds: longer than a run.
const TTL: u32 = 86_400;

/// Starts one on a port that the kernel chose.
pub(crate) async fn start(of_all: Ipv4Addr) -> io::Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = socket.local_addr()?;
    tokio::spawn(async move {
        let mut question = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut question).await {
            if let Some(answer) = answer(&question[..length], of_all) {
                // A client that is gone asks nobody anew.
                socket.send_to(&answer, client).await.ok();
            }
        }
    });
    Ok(address)
}

/// The answer to a message with one question: its address for A, and nothing for any other type.
fn answer(question: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let name = question.get(HEADER..)?.iter().position(|&byte| byte == 0)?;
    let end = HEADER + name + 1 + 4;
    let kind = question.get(end - 4..end - 2)?;
    let is_a = kind == [0, 1];
    let mut answer = question[..2].to_vec();
    // A response, authoritative, recursion as it was desired; one question, and one answer or none.
    answer.extend([0x84 | (question[2] & 1), 0x80, 0, 1, 0, u8::from(is_a)]);
    answer.extend([0; 4]);
    answer.extend(&question[HEADER..end]);
    if is_a {
        // The name by a pointer to the question's (section 4.1.4), type A, class IN.
        answer.extend([0xc0, 12, 0, 1, 0, 1]);
        answer.extend(TTL.to_be_bytes());
        answer.extend([0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_for_an_address_gets_it_and_any_other_gets_nothing() {
        let mut question = vec![7, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend(b"\x06origin\x04test\0\0\x01\0\x01");
        let address = Ipv4Addr::new(127, 0, 0, 86);
        let said = answer(&question, address).expect("an answer");
        assert_eq!(said[..8], [7, 8, 0x85, 0x80, 0, 1, 0, 1]);
        assert!(said.ends_with(&[0, 4, 127, 0, 0, 86]));
        let kind = question.len() - 3;
        question[kind] = 28;
        let said = answer(&question, address).expect("an answer");
        assert_eq!(said[6..8], [0, 0]);
        assert_eq!(answer(&question[..14], address), None);
    }
}
