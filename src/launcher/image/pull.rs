//! An image the person named: used if the engine has it, fetched if not.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use bollard::Docker;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::super::report::{Pull, Report};
use super::Image;

/// Makes sure that the engine has the image `name`.
pub(crate) async fn fetch(docker: &Docker, name: &str, report: &dyn Report) -> Result<Image> {
    check_name(name)?;
    if super::exists(docker, name).await? {
        return Ok(Image(name.to_owned()));
    }
    report.step(&format!("pulling {name}"));
    pull(docker, name, report).await.with_context(|| {
        format!(
            "the image {name} is not on this machine and could not be pulled; check its name and \
             the network, `docker pull {name}` it yourself (a private registry needs `docker \
             login`), or leave --image out to use this machine's own programs"
        )
    })?;
    Ok(Image(name.to_owned()))
}

/// The name becomes part of a request path, so it is held to the characters of references (the
/// grammar is in the distribution project's reference package).
pub(super) fn check_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) || name.split('/').any(|part| part == "..") {
        bail!(
            "{name:?} is not the name of an image; it looks like debian:12 or \
             registry.example/team/tool:1.2"
        );
    }
    Ok(())
}

async fn pull(docker: &Docker, name: &str, report: &dyn Report) -> Result<()> {
    // Without a tag an engine would pull every tag there is.
    let last = name.rsplit('/').next().unwrap_or(name);
    let reference = match last.contains([':', '@']) {
        true => name.to_owned(),
        false => format!("{name}:latest"),
    };
    let options = CreateImageOptionsBuilder::default()
        .from_image(&reference)
        .build();
    let mut layers = Layers::default();
    let mut answers = docker.create_image(Some(options), None, None);
    while let Some(answer) = answers.next().await {
        layers.learn(&answer?);
        report.pulling(&layers.progress(name, false));
    }
    report.pulling(&layers.progress(name, true));
    Ok(())
}

/// What is known of each layer: bytes done and bytes in all.
#[derive(Default)]
struct Layers(HashMap<String, (u64, u64)>);

impl Layers {
    fn learn(&mut self, info: &CreateImageInfo) {
        let Some(layer) = &info.id else { return };
        let known = self.0.entry(layer.clone()).or_default();
        match info.status.as_deref() {
            Some("Downloading") => {
                let detail = info.progress_detail.as_ref();
                let number = |value: Option<i64>| value.and_then(|v| u64::try_from(v).ok());
                if let Some(total) = detail.and_then(|d| number(d.total)) {
                    known.1 = total;
                }
                if let Some(done) = detail.and_then(|d| number(d.current)) {
                    known.0 = done.min(known.1);
                }
            }
            Some("Download complete" | "Pull complete" | "Already exists") => known.0 = known.1,
            _ => {}
        }
    }

    fn progress(&self, image: &str, finished: bool) -> Pull {
        let (done, total) = self.0.values().fold((0, 0), |(done, total), layer| {
            (done + layer.0, total + layer.1)
        });
        Pull {
            image: image.to_owned(),
            done,
            total,
            finished,
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn info(id: &str, status: &str, current: i64, total: i64) -> CreateImageInfo {
        CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: Some(ProgressDetail {
                current: Some(current),
                total: Some(total),
            }),
            ..CreateImageInfo::default()
        }
    }

    #[test]
    fn progress_is_the_sum_of_the_layers() {
        let mut layers = Layers::default();
        layers.learn(&info("a", "Downloading", 10, 100));
        layers.learn(&info("b", "Downloading", 5, 50));
        layers.learn(&info("a", "Download complete", 0, 0));
        layers.learn(&info("b", "Downloading", 500, 50));
        let progress = layers.progress("x", false);
        assert_eq!((progress.done, progress.total), (150, 150));
    }

    #[test]
    fn a_name_that_is_no_reference_is_refused() {
        for good in ["debian", "debian:12", "registry.example:5000/a/b@sha256:00"] {
            check_name(good).unwrap();
        }
        for bad in [
            "",
            "a b",
            "a?b=c",
            "../../containers",
            "a/../b",
            "a\nb",
            "http://x/ü",
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
