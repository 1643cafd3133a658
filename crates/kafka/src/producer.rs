use std::sync::mpsc::{Receiver, Sender as Channel, channel};
use std::time::Duration;

use changegate_pipeline::outgoing::{Kind, Outbox, Outgoing, SendError};
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use crate::settings::{Error, Settings};

/// Hands answers back to whoever sent.
pub(crate) struct Answers(Channel<(u64, Result<(), SendError>)>);

/// What came of messages, each under the tag it was sent with.
pub(crate) type Answered = Receiver<(u64, Result<(), SendError>)>;

impl Answers {
    pub(crate) fn channel() -> (Self, Answered) {
        let (answer, answers) = channel();
        (Self(answer), answers)
    }
}

impl ClientContext for Answers {}

impl ProducerContext for Answers {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: Box<u64>) {
        let answer = result
            .as_ref()
            .map(|_| ())
            .map_err(|(error, _)| send_error(error, error.to_string()));
        // Whoever asked may be gone at shutdown; then nobody waits for the answer.
        let _ = self.0.send((*tag, answer));
    }
}

fn send_error(error: &KafkaError, reason: String) -> SendError {
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge) => SendError::TooLarge(reason),
        _ => SendError::Again(reason),
    }
}

/// The brokers refused a record that was sent to `what`.
pub(crate) fn not_durable(settings: &Settings, what: &str, reason: String) -> Error {
    let source = KafkaError::ClientCreation(reason);
    settings.error(format!("a record sent to {what} is not durable"), source)
}

fn owned<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> OwnedHeaders {
    headers.fold(OwnedHeaders::new(), |owned, (key, value)| {
        owned.insert(Header {
            key,
            value: Some(value),
        })
    })
}

/// Sends requests, decisions, dead letters and children, and tells when they are durable.
pub struct Producer {
    producer: BaseProducer<Answers>,
    /// Children go by a client of their own, which leaves no gap; made with the first.
    gapless: Option<BaseProducer<Answers>>,
    answer: Channel<(u64, Result<(), SendError>)>,
    answers: Answered,
    settings: Settings,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}

impl Producer {
    /// Connects when the first message is sent.
    ///
    /// # Errors
    /// Where librdkafka refuses the settings.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let (context, answers) = Answers::channel();
        let answer = context.0.clone();
        let made = settings.producer().create_with_context(context);
        let producer = made.map_err(|error| settings.error("creating a producer", error))?;
        Ok(Self {
            producer,
            gapless: None,
            answer,
            answers,
            settings: settings.clone(),
        })
    }

    fn client_for(&mut self, kind: Kind) -> Result<&BaseProducer<Answers>, SendError> {
        if kind != Kind::Child {
            return Ok(&self.producer);
        }
        let gapless = match self.gapless.take() {
            Some(made) => made,
            None => self
                .settings
                .gapless_producer()
                .create_with_context(Answers(self.answer.clone()))
                .map_err(|error| SendError::Never(error.to_string()))?,
        };
        Ok(self.gapless.insert(gapless))
    }
}

impl Outbox for Producer {
    fn send(&mut self, message: &Outgoing, tag: u64) -> Result<bool, SendError> {
        let headers = message.headers.iter();
        let headers = owned(headers.map(|(name, value)| (name.as_str(), value.as_slice())));
        let mut record = BaseRecord::<[u8], [u8], Box<u64>>::with_opaque_to(&message.topic, Box::new(tag))
            .headers(headers);
        if let Some(key) = &message.key {
            record = record.key(key);
        }
        if let Some(value) = &message.value {
            record = record.payload(value);
        }
        if let Some(time) = message.time {
            record = record.timestamp(time.millis());
        }
        match self.client_for(message.kind)?.send(record) {
            Ok(()) => Ok(true),
            Err((KafkaError::MessageProduction(Code::QueueFull), _)) => Ok(false),
            Err((error, _)) => Err(match send_error(&error, error.to_string()) {
                SendError::Again(reason) => SendError::Never(reason),
                known => known,
            }),
        }
    }

    fn answer(&mut self) -> Option<(u64, Result<(), SendError>)> {
        self.producer.poll(Duration::ZERO);
        if let Some(gapless) = &self.gapless {
            gapless.poll(Duration::ZERO);
        }
        self.answers.try_recv().ok()
    }
}

/// Sends many records as fast as the brokers take them: for files and simulations.
pub struct Sender {
    producer: BaseProducer<Answers>,
    answers: Answered,
    settings: Settings,
    refused: Vec<(u64, String)>,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl Sender {
    /// Connects when the first record is sent.
    ///
    /// # Errors
    /// Where librdkafka refuses the settings.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let Producer {
            producer, answers, ..
        } = Producer::new(settings)?;
        Ok(Self {
            producer,
            answers,
            settings: settings.clone(),
            refused: Vec::new(),
        })
    }

    /// Queues one record; waits while the queue is full.
    ///
    /// # Errors
    /// A record that the library refuses, or an earlier one that the brokers refused.
    pub fn send(
        &mut self,
        topic: &str,
        key: Option<&[u8]>,
        headers: &[(&str, &[u8])],
        value: &[u8],
        time_ms: i64,
    ) -> Result<(), Error> {
        self.queue(0, topic, key, headers, value, time_ms)?;
        self.check(topic)
    }

    /// Queues one record under a tag of the caller's; waits while the queue is full. What the brokers refuse comes out of
    /// [`Sender::refused`] under that tag and stops nothing.
    ///
    /// # Errors
    /// A record that the library refuses at once.
    pub fn queue(
        &mut self,
        tag: u64,
        topic: &str,
        key: Option<&[u8]>,
        headers: &[(&str, &[u8])],
        value: &[u8],
        time_ms: i64,
    ) -> Result<(), Error> {
        loop {
            let own = owned(headers.iter().copied());
            let mut record = BaseRecord::<[u8], [u8], Box<u64>>::with_opaque_to(topic, Box::new(tag))
                .headers(own)
                .payload(value)
                .timestamp(time_ms);
            if let Some(key) = key {
                record = record.key(key);
            }
            match self.producer.send(record) {
                Ok(()) => {
                    self.listen(Duration::ZERO);
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(Code::QueueFull), _)) => {
                    self.listen(Duration::from_millis(50))
                }
                Err((error, _)) => return Err(self.settings.error(format!("sending to {topic}"), error)),
            }
        }
    }

    fn listen(&mut self, wait: Duration) {
        self.producer.poll(wait);
        while let Ok((tag, answer)) = self.answers.try_recv() {
            if let Err(reason) = answer {
                self.refused.push((tag, reason.to_string()));
            }
        }
    }

    /// Takes the records that the brokers refused since the last call: tag and reason.
    pub fn refused(&mut self) -> Vec<(u64, String)> {
        std::mem::take(&mut self.refused)
    }

    fn check(&self, what: &str) -> Result<(), Error> {
        match self.refused.first() {
            None => Ok(()),
            Some((_, reason)) => Err(not_durable(&self.settings, what, reason.clone())),
        }
    }

    /// Waits until every record is durable.
    ///
    /// # Errors
    /// The first that is not.
    pub fn finish(mut self, within: Duration) -> Result<(), Error> {
        self.flush(within)?;
        self.check("a topic")
    }

    /// Waits until every record is durable or refused.
    ///
    /// # Errors
    /// Where that takes longer than `within`.
    pub fn flush(&mut self, within: Duration) -> Result<(), Error> {
        self.producer
            .flush(within)
            .map_err(|error| self.settings.error("waiting for acknowledgements", error))?;
        self.listen(Duration::ZERO);
        Ok(())
    }
}
