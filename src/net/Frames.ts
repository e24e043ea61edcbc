/**
 * The frames of the binary serialization, from one message to its bytes and back. Calls with a number and their answers
 * are nearly all of them, and are written and read here without the interpreter of schemas; everything else goes
 * through the parser of the serialization. What is constant in a frame is learned from that parser, and what is made is
 * compared with what it makes.
 */
import type { RpcSerialization } from "effect/rpc"
import type { FromClientEncoded, FromServerEncoded, RequestEncoded } from "effect/rpc/RpcMessage"
import { hasAt } from "./BytesTemplate.ts"
import { uvarintBytes, UvarintReader, writeUvarint } from "./Uvarint.ts"

/** All notifications share it, because no answer names it. */
export const notificationId = "notification"

/** Numbers of calls up to here are written in the short way. */
const maxId = 2 ** 31

/** The constant parts of the calls of one kind. */
interface CallFrame {
  readonly tag: string
  readonly isNotification: boolean
  /** Before the payload. */
  readonly head: Uint8Array
  /** Behind the number of the call; for notifications, behind the payload. */
  readonly tail: Uint8Array
}

type Serialization = RpcSerialization.RpcSerialization["Service"]
type Encoded = FromClientEncoded | FromServerEncoded
type Parser = ReturnType<Serialization["makeUnsafe"]>

/** The number of a call: its length, that it is a number, and twice its size with the sign as the lowest bit. */
const signed = (id: number): number => id < 0 ? -id * 2 + 1 : id * 2

const isShortId = (id: unknown): id is number => Number.isInteger(id) && Math.abs(id as number) < maxId

export class Frames {
  private readonly parser: Parser
  private calls: ReadonlyArray<CallFrame> = []
  private readonly exitHead: Uint8Array | undefined

  /** `tags` are the calls that are made most. The serialization is the binary one. */
  constructor(serialization: Serialization, tags: ReadonlyArray<string>) {
    this.parser = serialization.makeUnsafe()
    this.exitHead = exitHeadOf(this.parser)
    for (const tag of tags) this.add(tag)
  }

  /** Another call that is made often. */
  add(tag: string): void {
    if (!this.calls.some((call) => call.tag === tag)) this.calls = [...this.calls, ...callsOf(this.parser, tag)]
  }

  /** The bytes of a message. */
  encode(message: Encoded): Uint8Array {
    if (message._tag === "Request") {
      const call = this.calls.find((known) =>
        known.tag === message.tag && known.isNotification === (message.isNotification === true)
      )
      const short = call === undefined ? undefined : encodeCall(call, message)
      if (short !== undefined) return short
    } else if (message._tag === "Exit") {
      const exit: unknown = message.exit
      if (exit instanceof Uint8Array && isShortId(message.requestId) && this.exitHead !== undefined) {
        return encodeExit(this.exitHead, message.requestId, exit)
      }
    }
    return this.parser.encode(message) as Uint8Array
  }

  /** The message of a whole frame. @throws when it is none. */
  decode(frame: Uint8Array): Encoded {
    const short = this.decodeShort(frame)
    if (short !== undefined) return short
    const [message] = this.parser.decode(frame) as ReadonlyArray<Encoded>
    if (message === undefined) throw new Error("a frame without a message")
    return message
  }

  /** The message of a frame that is of a known kind. */
  decodeShort(frame: Uint8Array): Encoded | undefined {
    const lengths = new UvarintReader(frame)
    if (lengths.next() !== frame.byteLength - lengths.offset) return undefined
    const start = lengths.offset
    if (this.exitHead !== undefined && hasAt(frame, start, this.exitHead)) {
      return decodeExit(frame, lengths, start + this.exitHead.byteLength)
    }
    for (const call of this.calls) {
      if (!hasAt(frame, start, call.head)) continue
      lengths.offset = start + call.head.byteLength
      const message = decodeCall(call, frame, lengths)
      if (message !== undefined) return message
    }
    return undefined
  }
}

const comparedIds: ReadonlyArray<number> = [-1, 1, 0, 63, -64, 8_191, -8_192, 1_048_576, -maxId + 1]

const comparedPayloads: ReadonlyArray<Uint8Array> = [0, 1, 70, 127, 128, 16_383, 16_384].map((length) =>
  new Uint8Array(length).fill(length)
)

const exitOf = (requestId: number, exit: Uint8Array): FromServerEncoded =>
  ({ _tag: "Exit", requestId, exit }) as unknown as FromServerEncoded

const requestOf = (
  tag: string,
  id: string | number,
  payload: Uint8Array,
  isNotification: boolean
): RequestEncoded => ({
  _tag: "Request",
  id: id as never,
  tag,
  payload,
  headers: [],
  ...(isNotification ? { isNotification: true as const } : {})
})

const idBytes = (id: number): number => 2 + uvarintBytes(signed(id))

const writeId = (frame: Uint8Array, offset: number, id: number): number => {
  const value = signed(id)
  frame[offset] = 1 + uvarintBytes(value)
  frame[offset + 1] = 0
  return writeUvarint(frame, offset + 2, value)
}

/** The number of a call that is written in the short way; `undefined` for any other name. */
const readId = (frame: Uint8Array, lengths: UvarintReader): number | undefined => {
  const size = frame[lengths.offset]
  if (size === undefined || frame[lengths.offset + 1] !== 0) return undefined
  const end = lengths.offset + 1 + size
  lengths.offset += 2
  const value = lengths.next()
  // A zero with a sign is no number of a call.
  if (value < 0 || value === 1 || lengths.offset !== end) return undefined
  return value % 2 === 1 ? -(value - 1) / 2 : value / 2
}

const encodeExit = (head: Uint8Array, id: number, exit: Uint8Array): Uint8Array => {
  const size = head.byteLength + idBytes(id) + uvarintBytes(exit.byteLength) + exit.byteLength
  const frame = Buffer.allocUnsafe(uvarintBytes(size) + size)
  let at = writeUvarint(frame, 0, size)
  frame.set(head, at)
  at = writeId(frame, at + head.byteLength, id)
  at = writeUvarint(frame, at, exit.byteLength)
  frame.set(exit, at)
  return frame
}

const decodeExit = (frame: Uint8Array, lengths: UvarintReader, offset: number): FromServerEncoded | undefined => {
  lengths.offset = offset
  const id = readId(frame, lengths)
  if (id === undefined) return undefined
  const length = lengths.next()
  return length >= 0 && lengths.offset + length === frame.byteLength
    ? exitOf(id, frame.subarray(lengths.offset))
    : undefined
}

const encodeCall = (
  { head, isNotification, tail }: CallFrame,
  { discard, headers, id, payload, sampled, spanId, traceId }: RequestEncoded
): Uint8Array | undefined => {
  if (!(payload instanceof Uint8Array) || headers.length > 0) return undefined
  const more = discard ?? sampled ?? spanId ?? traceId
  if (more !== undefined) return undefined
  if (isNotification ? String(id) !== notificationId : !isShortId(id)) return undefined
  const size = head.byteLength + uvarintBytes(payload.byteLength) + payload.byteLength +
    (isNotification ? 0 : idBytes(Number(id))) + tail.byteLength
  const frame = Buffer.allocUnsafe(uvarintBytes(size) + size)
  let at = writeUvarint(frame, 0, size)
  frame.set(head, at)
  at = writeUvarint(frame, at + head.byteLength, payload.byteLength)
  frame.set(payload, at)
  at += payload.byteLength
  if (!isNotification) at = writeId(frame, at, Number(id))
  frame.set(tail, at)
  return frame
}

const decodeCall = (
  { isNotification, tag, tail }: CallFrame,
  frame: Uint8Array,
  lengths: UvarintReader
): RequestEncoded | undefined => {
  const length = lengths.next()
  const at = lengths.offset
  if (length < 0 || at + length + tail.byteLength > frame.byteLength) return undefined
  lengths.offset = at + length
  const id = isNotification ? notificationId : readId(frame, lengths)
  if (id === undefined || lengths.offset + tail.byteLength !== frame.byteLength) return undefined
  return hasAt(frame, lengths.offset, tail)
    ? requestOf(tag, id, frame.subarray(at, at + length), isNotification)
    : undefined
}

/** Whether it holds for each of the numbers, and for each of the payloads. */
const compared = <Id>(ids: ReadonlyArray<Id>, holds: (id: Id, payload: Uint8Array) => boolean): boolean =>
  ids.every((id) => holds(id, Uint8Array.of(1))) &&
  comparedPayloads.every((payload) => holds(ids[0] as Id, payload))

/** What was learned. Every connection has the same frames: those of the binary serialization. */
const learned: { exitHead?: Uint8Array | undefined; readonly calls: Map<string, ReadonlyArray<CallFrame>> } = {
  calls: new Map()
}

const exitHeadOf = (parser: Parser): Uint8Array | undefined => {
  if (!("exitHead" in learned)) learned.exitHead = learnExit(parser)
  return learned.exitHead
}

const callsOf = (parser: Parser, tag: string): ReadonlyArray<CallFrame> => {
  const known = learned.calls.get(tag)
  if (known !== undefined) return known
  const made = [learnCall(parser, tag, false), learnCall(parser, tag, true)].filter((call) => call !== undefined)
  learned.calls.set(tag, made)
  return made
}

const learnExit = (parser: Parser): Uint8Array | undefined => {
  const usual = (id: number, exit: Uint8Array) => parser.encode(exitOf(id, exit)) as Uint8Array
  // Behind it stand the form of a number, the number, and the length of no bytes: four bytes.
  const head = usual(-1, new Uint8Array(0)).slice(1, -4)
  const holds = compared(comparedIds, (id, exit) => Buffer.compare(encodeExit(head, id, exit), usual(id, exit)) === 0)
  return holds ? head : undefined
}

const learnCall = (parser: Parser, tag: string, isNotification: boolean): CallFrame | undefined => {
  const usual = (request: RequestEncoded) => Buffer.from(parser.encode(request) as Uint8Array)
  const ids = isNotification ? [notificationId] : comparedIds
  const payload = Uint8Array.of(0xab, 0xab)
  const sample = usual(requestOf(tag, isNotification ? notificationId : -1, payload, isNotification))
  const at = sample.indexOf(Uint8Array.of(payload.byteLength, ...payload))
  if (at < 0) return undefined
  // The number -1 takes three bytes with its form.
  const tail = Uint8Array.from(sample.subarray(at + 1 + payload.byteLength + (isNotification ? 0 : 3)))
  const call = { tag, isNotification, head: Uint8Array.from(sample.subarray(1, at)), tail }
  const holds = compared<string | number>(ids, (id, bytes) => {
    const request = requestOf(tag, id, bytes, isNotification)
    const short = encodeCall(call, request)
    return short !== undefined && Buffer.compare(short, usual(request)) === 0
  })
  return holds ? call : undefined
}
