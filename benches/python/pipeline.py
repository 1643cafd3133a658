"""The pipeline as one writes it in Python, tuned: confluent-kafka in large reads, orjson, scikit-learn over large blocks,
clickhouse-connect by column, the garbage collector off, one process per core.

    pipeline.py BOOTSTRAP TOPIC GROUP PARTITIONS RECORDS HOST PORT USER PASSWORD DATABASE

Reads RECORDS records of TOPIC, writes the columns of benches/src/loader.rs and the raw bytes, scores each record with an
isolation forest over 28 features that need no state, and prints the seconds from the first record to the last row.
"""

import gc
import json
import multiprocessing
import sys
import time
from datetime import datetime

import clickhouse_connect
import numpy
import orjson
from confluent_kafka import Consumer, TopicPartition
from sklearn.ensemble import IsolationForest

BLOCK = 20_000
PLACE = ["topic", "partition", "offset", "kafka_time"]
COLUMNS = [
    "schema_version", "event_time", "native_uid", "request_uid", "correlation_uid", "api_service", "api_operation",
    "api_version", "region", "src_ip", "user_agent", "status_code", "status_detail", "account_uid", "actor_uid",
    "actor_name", "actor_issuer", "actor_session_uid", "actor_credential_uid", "actor_invoked_by", "actor_is_mfa",
    "is_change",
]
NOTHING = {}


def micros(text):
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def columns(event):
    text = event.get
    identity = text("userIdentity", NOTHING)
    session = identity.get("sessionContext", NOTHING)
    issuer = session.get("sessionIssuer", NOTHING)
    arn = issuer.get("arn", "")
    request = text("requestID", "")
    return (
        text("eventVersion", ""), micros(text("eventTime")), text("eventID", ""), request,
        text("sharedEventID", "") or request, text("eventSource", ""), text("eventName", ""), text("apiVersion", ""),
        text("awsRegion", ""), text("sourceIPAddress"), text("userAgent", ""), text("errorCode", ""),
        text("errorMessage", ""), text("recipientAccountId", ""), arn, issuer.get("userName", ""), arn,
        identity.get("principalId", ""), identity.get("accessKeyId", ""), identity.get("invokedBy", ""),
        session.get("attributes", NOTHING).get("mfaAuthenticated") == "true", not text("readOnly", False),
    )


def features(row, size):
    """28 numbers that one event says by itself."""
    (version, event_time, native, request, correlation, service, operation, api, region, address, agent, code, detail,
     account, actor, name, _, session, credential, invoked, mfa, change) = row
    second = event_time // 1_000_000
    return (
        second // 3600 % 24, second // 86400 % 7, size, len(version), len(native), len(request),
        request != correlation, len(service), hash(service) & 1023, len(operation), hash(operation) & 1023,
        operation.startswith("Delete"), operation.startswith("Put"), operation.startswith("Create"), len(api),
        hash(region) & 255, hash(address) & 1023, len(agent), hash(agent) & 1023, code != "", len(detail),
        hash(account) & 1023, hash(actor) & 1023, len(name), len(session), credential.startswith("ASIA"),
        invoked != "", 2 * mfa + change,
    )


def run(worker, workers, arguments, ready, go, results):
    bootstrap, topic, group, partitions, records, host, port, user, password, database = arguments
    partitions, records = int(partitions), int(records)
    forest = IsolationForest(n_estimators=100, max_samples=256, random_state=1, n_jobs=1)
    forest.fit(numpy.random.default_rng(1).integers(0, 1024, (10_000, 28)).astype(numpy.float32))
    client = clickhouse_connect.get_client(
        host=host, port=int(port), username=user, password=password, database=database, compress=False
    )
    own = range(worker, partitions, workers)
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "fetch.queue.backoff.ms": 2, "queued.min.messages": 100_000,
        "fetch.message.max.bytes": 8 << 20,
    })
    due = sum(consumer.get_watermark_offsets(TopicPartition(topic, partition))[1] for partition in own)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in own])
    gc.disable()
    ready.release()
    go.wait()
    read, started, sums = 0, None, 0.0
    rows, places, raws, numbers = [], [], [], []
    while read < due:
        for message in consumer.consume(5_000, timeout=0.2):
            if started is None:
                started = time.monotonic()
            raw = message.value()
            row = columns(orjson.loads(raw))
            rows.append(row)
            numbers.append(features(row, len(raw)))
            places.append((topic, message.partition(), message.offset(), message.timestamp()[1] * 1000))
            raws.append(raw)
            read += 1
        if len(rows) >= BLOCK or read == due and rows:
            scores = forest.score_samples(numpy.array(numbers, dtype=numpy.float32))
            sums += float(scores.sum())
            place = list(zip(*places))
            client.insert("changes", [*place, *zip(*rows)], column_names=PLACE + COLUMNS, column_oriented=True)
            client.insert("raw_records", [*place, raws], column_names=PLACE + ["raw"], column_oriented=True)
            consumer.commit(asynchronous=False)
            rows, places, raws, numbers = [], [], [], []
    results.put((started, time.monotonic(), read, sums))


def main():
    arguments, workers = sys.argv[1:], 2
    ready, go, results = multiprocessing.Semaphore(0), multiprocessing.Event(), multiprocessing.Queue()
    processes = [
        multiprocessing.Process(target=run, args=(worker, workers, arguments, ready, go, results))
        for worker in range(workers)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    go.set()
    ended = [results.get() for _ in processes]
    for process in processes:
        process.join()
    print(json.dumps({
        "seconds": max(end for _, end, _, _ in ended) - min(start for start, _, _, _ in ended if start),
        "records": sum(read for _, _, read, _ in ended),
    }))


if __name__ == "__main__":
    main()
