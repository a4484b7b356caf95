//! The files that packages are made of, written by hand: a zip, a gzipped tar, an ar. Nothing in
//! them is compressed, and nothing in them has a time.

/// A file's name and what is in it.
pub(super) type File<'a> = (&'a str, &'a [u8]);

/// A zip (APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16): a wheel, or a Go module.
pub(super) fn zip(files: &[File<'_>]) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let size = length(bytes.len()).to_le_bytes();
        // Version 2.0, no flags, stored, 1 January 1980; its checksum, and its size twice.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        common.extend(crc32(bytes).to_le_bytes());
        common.extend([size, size].concat());
        common.extend(u16::try_from(name.len()).expect("a name").to_le_bytes());
        common.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        // No comment, the first disk, no attributes; and where it begins.
        directory.extend([0; 10]);
        directory.extend(length(zip.len()).to_le_bytes());
        directory.extend(name.as_bytes());
        zip.extend(b"PK\x03\x04");
        zip.extend(&common);
        zip.extend(name.as_bytes());
        zip.extend(*bytes);
    }
    let count = u16::try_from(files.len()).expect("few files").to_le_bytes();
    let begin = length(zip.len()).to_le_bytes();
    zip.extend(&directory);
    zip.extend(b"PK\x05\x06\0\0\0\0");
    zip.extend([count, count].concat());
    zip.extend(length(directory.len()).to_le_bytes());
    zip.extend(begin);
    zip.extend([0, 0]);
    zip
}

/// A tar in gzip (RFC 1952): a crate, an npm package, a part of a Debian package.
pub(super) fn tar_gz(files: &[File<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).expect("a file");
    }
    let tar = tar.into_inner().expect("a tar");
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    // Blocks that are stored as they are (RFC 1951, section 3.2.4), and an empty one that ends it.
    for block in tar.chunks(0xffff).chain([&[][..]]) {
        let size = u16::try_from(block.len()).expect("a block's size");
        gzip.push(u8::from(size == 0));
        gzip.extend(size.to_le_bytes());
        gzip.extend((!size).to_le_bytes());
        gzip.extend(block);
    }
    gzip.extend(crc32(&tar).to_le_bytes());
    gzip.extend(length(tar.len()).to_le_bytes());
    gzip
}

/// An ar (ar(5)): a Debian package.
pub(super) fn ar(files: &[File<'_>]) -> Vec<u8> {
    let mut ar = b"!<arch>\n".to_vec();
    for (name, bytes) in files {
        let size = bytes.len();
        ar.extend(
            format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
                0, 0, 0, 100_644
            )
            .bytes(),
        );
        ar.extend(*bytes);
        ar.extend(vec![b'\n'; size % 2]);
    }
    ar
}

/// SHA-256 in hexadecimal digits.
pub(super) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The checksum of zip and gzip (RFC 1952, section 8).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

fn length(of: usize) -> u32 {
    u32::try_from(of).expect("a small file")
}
