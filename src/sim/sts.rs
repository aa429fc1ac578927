//! STS: who asks, and the roles of other accounts. Its protocol is AWS's query protocol: a form in, XML out. Each role has
//! a world of its own, which whoever took it on is told from by the credentials' access key. Does not check signatures.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::world::World;
use crate::model::Timestamp;

/// Access keys of roles that were taken on begin so, as AWS's do (IAM User Guide, "IAM identifiers"), followed by which.
const TAKEN_ON: &str = "ASIASIMULATED";

/// How long credentials are good for where nobody says (STS API Reference, AssumeRole, DurationSeconds), in seconds.
const AN_HOUR: u64 = 3600;

/// A role of another account that may be taken on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// `arn:aws:iam::ACCOUNT:role/NAME`
    pub arn: String,
    /// What whoever takes it on has to name.
    pub external_id: Option<String>,
}

/// No role is written so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not arn:aws:iam::ACCOUNT:role/NAME, with `=EXTERNAL_ID` after it where one is asked for")]
pub struct ParseRoleError(String);

impl FromStr for Role {
    type Err = ParseRoleError;
    fn from_str(text: &str) -> Result<Self, ParseRoleError> {
        // The first ends the ARN: a role whose name has one (letters, digits and `+=,.@-_`) cannot be given.
        let (arn, external_id) = match text.split_once('=') {
            Some((arn, id)) => (arn, Some(id.to_owned())),
            None => (text, None),
        };
        let role = Self { arn: arn.to_owned(), external_id };
        let named = role.parts().is_some_and(|(account, name)| {
            account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty()
        });
        if named && role.external_id.as_deref() != Some("") { Ok(role) } else { Err(ParseRoleError(text.to_owned())) }
    }
}

impl Role {
    fn parts(&self) -> Option<(&str, &str)> {
        self.arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")
    }

    /// Whose it is.
    #[must_use]
    pub fn account(&self) -> &str {
        self.parts().map_or("", |(account, _)| account)
    }

    /// Who its bearer is, as GetCallerIdentity says it.
    #[must_use]
    pub fn bearer(&self) -> String {
        let name = self.parts().and_then(|(_, name)| name.rsplit('/').next()).unwrap_or_default();
        format!("arn:aws:sts::{}:assumed-role/{name}/simulated", self.account())
    }
}

/// The accounts behind one endpoint: that of the credentials in use, and those of roles that may be taken on.
pub struct Accounts {
    own: Arc<Mutex<World>>,
    others: Vec<(Role, Mutex<World>)>,
}

impl From<Arc<Mutex<World>>> for Accounts {
    /// One account, and no role in any other.
    fn from(own: Arc<Mutex<World>>) -> Self {
        Self { own, others: Vec::new() }
    }
}

impl Accounts {
    /// With an account that is reached by taking on `role`.
    #[must_use]
    pub fn with(mut self, role: Role, world: World) -> Self {
        self.others.push((role, Mutex::new(world)));
        self
    }

    /// The world that a request is for, by its `authorization` header.
    pub(super) fn of(&self, authorization: Option<&str>) -> MutexGuard<'_, World> {
        let key = authorization.and_then(|header| header.split_once("Credential=")?.1.split('/').next());
        let place = key.and_then(|key| key.strip_prefix(TAKEN_ON)?.parse::<usize>().ok());
        let world = place.and_then(|place| self.others.get(place)).map(|(_, world)| world);
        world.unwrap_or(&self.own).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// AssumeRole: its result as XML, or the code of its refusal and why.
    ///
    /// A role that is not there is denied like one that may not be taken on, so that nobody learns which there are.
    pub(super) fn assume_role(
        &self,
        form: &Form,
        caller: &str,
        now: Timestamp,
    ) -> Result<String, (&'static str, String)> {
        let asked = form.get("RoleArn");
        let denied = || {
            let why = format!("User: {caller} is not authorized to perform: sts:AssumeRole on resource: {asked}");
            ("AccessDenied", why)
        };
        let known = |(_, (role, _)): &(usize, &(Role, Mutex<World>))| role.arn == asked;
        let (place, (role, _)) = self.others.iter().enumerate().find(known).ok_or_else(denied)?;
        // A role that asks for none takes any (IAM User Guide, "Access to AWS accounts owned by third parties").
        if role.external_id.as_deref().is_some_and(|id| id != form.get("ExternalId")) {
            return Err(denied());
        }
        let seconds = form.get("DurationSeconds").parse().unwrap_or(AN_HOUR);
        let until = (now + Duration::from_secs(seconds)).to_string();
        let (key, arn) = (format!("{TAKEN_ON}{place:04}"), escape(&role.bearer()));
        Ok(format!(
            "<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>simulated</SecretAccessKey>\
             <SessionToken>simulated</SessionToken><Expiration>{until}</Expiration></Credentials>\
             <AssumedRoleUser><AssumedRoleId>AROASIMULATED:simulated</AssumedRoleId><Arn>{arn}</Arn></AssumedRoleUser>"
        ))
    }
}

/// GetCallerIdentity's result as XML.
pub(super) fn caller_identity(world: &World) -> String {
    let (arn, account) = (escape(&world.config().caller), escape(&world.config().account));
    format!("<Arn>{arn}</Arn><UserId>AROASIMULATED:simulated</UserId><Account>{account}</Account>")
}

/// A whole answer.
pub(super) fn answered(action: &str, result: &str, id: &str) -> String {
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>"
    )
}

/// A whole refusal.
pub(super) fn refused(code: &str, why: &str, id: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>",
        escape(why)
    )
}

/// What a query says.
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    /// Of a body; nothing where it is no text.
    pub(super) fn of(body: &[u8]) -> Self {
        let text = std::str::from_utf8(body).unwrap_or_default();
        let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (decoded(name), decoded(value))).collect())
    }

    /// A member; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
