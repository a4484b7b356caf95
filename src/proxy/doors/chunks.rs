//! Chunked content (RFC 9112, section 7.1), read strictly: where it ends, and so where the next
//! head begins.

/// Follows chunked content to its end. Chunk extensions are followed and passed on; hyper drops
/// them.
#[derive(Debug, Default)]
pub(super) struct ChunkTracker {
    state: Chunk,
    /// Digits of a size, or bytes of a line, that were seen.
    seen: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    #[default]
    SizeStart,
    Size(u64),
    Extension(u64),
    SizeEnd(u64),
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

impl ChunkTracker {
    /// How many of these bytes belong to the content, and whether it ends with them.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Result<(usize, bool), &'static str> {
        /// Of one chunk's line, and of all trailers.
        const LINES_MAX: usize = 16 * 1024;
        let mut at = 0;
        while at < bytes.len() && self.state != Chunk::End {
            if let Chunk::Data(left) = self.state {
                let taken = usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len() - at);
                at += taken;
                self.state = match left - taken as u64 {
                    0 => Chunk::DataCr,
                    left => Chunk::Data(left),
                };
                continue;
            }
            self.seen += 1;
            if self.seen > LINES_MAX {
                return Err("a chunk's line, or the trailers, are too long");
            }
            self.state = self.state.next(bytes[at])?;
            if matches!(self.state, Chunk::Data(_)) {
                self.seen = 0;
            }
            at += 1;
        }
        Ok((at, self.state == Chunk::End))
    }
}

impl Chunk {
    fn next(self, byte: u8) -> Result<Self, &'static str> {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        Ok(match (self, byte) {
            (Self::SizeStart, _) => Self::Size(digit.ok_or("a chunk begins with its size")?),
            (Self::Size(size), b'\r') | (Self::Extension(size), b'\r') => Self::SizeEnd(size),
            (Self::Size(size), b';') => Self::Extension(size),
            (Self::Size(size), _) => {
                let digit = digit.ok_or("a chunk's size is a hexadecimal number")?;
                let larger = size.checked_mul(16).ok_or("a chunk's size is too large")?;
                Self::Size(larger + digit)
            }
            (Self::Extension(_), b'\n' | 0) => return Err("a chunk's line ends with CR LF"),
            (Self::Extension(size), _) => Self::Extension(size),
            (Self::SizeEnd(0), b'\n') => Self::TrailerStart,
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::SizeStart,
            (Self::TrailerStart, b'\r') => Self::EndLf,
            (Self::Trailer, b'\r') => Self::TrailerLf,
            (Self::TrailerStart | Self::Trailer, b'\n' | 0) => {
                return Err("a trailer's line ends with CR LF");
            }
            (Self::TrailerStart | Self::Trailer, _) => Self::Trailer,
            (Self::TrailerLf, b'\n') => Self::TrailerStart,
            (Self::EndLf, b'\n') => Self::End,
            (Self::Data(_) | Self::End, _) => return Err("the content has ended"),
            _ => return Err("a chunk's line ends with CR LF"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunked_content_is_followed_to_its_end_however_it_is_cut() {
        let content = b"5;ext=1\r\nhello\r\n0\r\nTrailer: x\r\n\r\n";
        let all = [&content[..], b"GET next"].concat();
        for cut in 0..all.len() {
            let mut tracker = ChunkTracker::default();
            let (first, ended) = tracker.follow(&all[..cut]).expect("first part");
            let total = if ended {
                first
            } else {
                cut + tracker.follow(&all[cut..]).expect("rest").0
            };
            assert_eq!(total, content.len(), "{cut}");
        }
    }

    #[test]
    fn a_chunk_size_that_overflows_or_is_no_number_is_refused() {
        for bytes in [
            &b"FFFFFFFFFFFFFFFF0\r\n"[..],
            b"-1\r\n",
            b"5\nhello",
            b" 5\r\n",
            b"\r\n",
            b"5\r\nhelloX",
        ] {
            assert!(
                ChunkTracker::default().follow(bytes).is_err(),
                "{}",
                bytes.escape_ascii()
            );
        }
    }
}
