/**
 * What nodes say to each other, as bytes: messages behind one another. Numbers are u64 and big-endian, points are
 * `index · term`, and every message begins with `kind u8 · from · to · term`; the table in {@link encodeMessages} has
 * what follows.
 *
 * They are encoded by hand, where the rest of the protocol has schemas: a commit is four of these messages, and
 * decoding them by schema took more of a follower's time than storing what was in them. Decoding never throws and
 * checks everything a schema would.
 */
import { Reader, Writer } from "../bytes/Binary.ts"
import { maxTerm } from "../raft/Claims.ts"
import { entryBytes } from "../raft/Config.ts"
import type { Message } from "../raft/Message.ts"
import type { LogIndex, LogPoint, NodeId, Term } from "../raft/Types.ts"
import { decodeEntries, encodeEntries } from "./EntryRecord.ts"
import { CodecError } from "../bytes/CodecError.ts"

/** The place of a message's tag is its kind on the wire: new ones come last. */
const kinds = [
  "PreVoteRequest",
  "PreVoteResponse",
  "VoteRequest",
  "VoteResponse",
  "AppendRequest",
  "AppendAccepted",
  "AppendRejected",
  "Heartbeat",
  "HeartbeatResponse",
  "ReadIndexRequest",
  "ReadIndexResponse",
  "TimeoutNow",
  "JoinRequest",
  "JoinResponse"
] as const satisfies ReadonlyArray<Message["_tag"]>

const kindOf = new Map<Message["_tag"], number>(kinds.map((tag, kind) => [tag, kind]))

/** Bytes of a message without entries, at most. */
const messageBytes = 64

const sizeOf = (message: Message): number => {
  let bytes = messageBytes
  if (message._tag === "AppendRequest") {
    for (const entry of message.entries) bytes += 4 + entryBytes(entry)
  }
  return bytes
}

/** The messages in their order. Entries are a blob of records (`EntryRecord.ts`) behind its length. */
export const encodeMessages = (messages: ReadonlyArray<Message>): Uint8Array => {
  let size = 0
  for (const message of messages) size += sizeOf(message)
  const writer = new Writer(size)
  for (const message of messages) encodeMessage(writer, message)
  return writer.bytes
}

const encodeMessage = (writer: Writer, message: Message): void => {
  writer.u8(kindOf.get(message._tag) as number).u64(message.from).u64(message.to).u64(message.term)
  switch (message._tag) {
    case "PreVoteRequest":
      return void writePoint(writer, message.last)
    case "VoteRequest":
      return void writePoint(writer, message.last).u8(message.transfer ? 1 : 0)
    case "PreVoteResponse":
    case "VoteResponse":
      return void writer.u8(message.granted ? 1 : 0)
    case "AppendRequest":
      return void writePoint(writer, message.prev).u64(message.commit).long(encodeEntries(message.entries))
    case "AppendAccepted":
      return void writer.u64(message.match).u8(message.voter ? 1 : 0)
    case "AppendRejected":
      return void writePoint(writer.u64(message.rejected), message.hint)
        .u64(message.lastIndex)
        .u8(message.voter ? 1 : 0)
    case "Heartbeat":
      return void writePoint(writer, message.match).u64(message.commit).u64(message.readRound)
    case "HeartbeatResponse":
      return void writer.u64(message.readRound).u8(message.voter ? 1 : 0)
    case "ReadIndexRequest":
      return void writer.u64(message.readId)
    case "ReadIndexResponse":
      return writeOptional(writer.u64(message.readId), message.index)
    case "TimeoutNow":
      return
    case "JoinRequest":
      return void writer.u64(message.joinId)
    case "JoinResponse":
      return writeOptional(writer.u64(message.joinId).u8(message.fresh ? 1 : 0), message.learnThrough)
  }
}

const writePoint = (writer: Writer, { index, term }: LogPoint): Writer => writer.u64(index).u64(term)

const writeOptional = (writer: Writer, value: number | undefined): void => {
  if (value === undefined) writer.u8(0)
  else writer.u8(1).u64(value)
}

/** The messages of a batch, or what is wrong with it. Entries are views of a copy of their own. */
export const decodeMessages = (batch: Uint8Array): ReadonlyArray<Message> | CodecError => {
  const reader = new Reader(batch)
  const messages: Array<Message> = []
  while (!reader.atEnd) {
    const message = decodeMessage(reader)
    if (message instanceof CodecError) return message
    if (reader.failed) return new CodecError(`message ${messages.length + 1} is cut short, or a number in it is none`)
    messages.push(message)
  }
  return messages
}

const decodeMessage = (reader: Reader): Message | CodecError => {
  const kind = reader.u8()
  const _tag = kinds[kind]
  if (_tag === undefined) return new CodecError(`there is no kind ${kind} of messages`)
  const from = reader.u64() as NodeId
  const to = reader.u64() as NodeId
  const term = reader.u64() as Term
  if (reader.failed) return new CodecError("a message ends before it says from whom it is")
  if (from < 1 || to < 1) return new CodecError(`a message from node ${from} to node ${to}; nodes count from 1`)
  if (term > maxTerm) return new CodecError(`term ${term} is beyond ${maxTerm}`)
  switch (_tag) {
    case "PreVoteRequest":
      return { _tag, from, to, term, last: readPoint(reader) }
    case "VoteRequest":
      return { _tag, from, to, term, last: readPoint(reader), transfer: readFlag(reader) }
    case "PreVoteResponse":
    case "VoteResponse":
      return { _tag, from, to, term, granted: readFlag(reader) }
    case "AppendRequest": {
      const prev = readPoint(reader)
      const commit = readIndex(reader)
      const entries = decodeEntries(reader.long())
      if (entries instanceof CodecError) return entries
      for (let i = 0; i < entries.length; i++) {
        if (entries[i]?.index !== prev.index + 1 + i) return new CodecError("entries are not consecutive")
      }
      return { _tag, from, to, term, prev, entries, commit }
    }
    case "AppendAccepted":
      return { _tag, from, to, term, match: readIndex(reader), voter: readFlag(reader) }
    case "AppendRejected":
      return {
        _tag,
        from,
        to,
        term,
        rejected: readIndex(reader),
        hint: readPoint(reader),
        lastIndex: readIndex(reader),
        voter: readFlag(reader)
      }
    case "Heartbeat":
      return { _tag, from, to, term, match: readPoint(reader), commit: readIndex(reader), readRound: reader.u64() }
    case "HeartbeatResponse":
      return { _tag, from, to, term, readRound: reader.u64(), voter: readFlag(reader) }
    case "ReadIndexRequest":
      return { _tag, from, to, term, readId: reader.u64() }
    case "ReadIndexResponse":
      return { _tag, from, to, term, readId: reader.u64(), index: readOptional(reader) }
    case "TimeoutNow":
      return { _tag, from, to, term }
    case "JoinRequest":
      return { _tag, from, to, term, joinId: reader.u64() }
    case "JoinResponse":
      return {
        _tag,
        from,
        to,
        term,
        joinId: reader.u64(),
        fresh: readFlag(reader),
        learnThrough: readOptional(reader)
      }
  }
}

const readIndex = (reader: Reader): LogIndex => reader.u64() as LogIndex

const readPoint = (reader: Reader): LogPoint => ({ index: readIndex(reader), term: reader.u64() as Term })

/** Anything but 0 and 1 is no flag. */
const readFlag = (reader: Reader): boolean => {
  const flag = reader.u8()
  if (flag > 1) reader.failed = true
  return flag === 1
}

const readOptional = (reader: Reader): LogIndex | undefined => readFlag(reader) ? readIndex(reader) : undefined
