/** Tells a caller what listens at a port that is not the one it wants, from the little that such a port says. */
import { Data } from "effect"
import { defaultPorts } from "../config/DefaultPorts.ts"

/** What is there is not what was called. Nothing of the call was carried out. */
export class WrongPort extends Data.TaggedError("WrongPort")<{ readonly problem: string }> {
  override get message() {
    return this.problem
  }
}

/** The same, with which ports there are. */
const wrongPort = (problem: string): WrongPort => new WrongPort({ problem: `${problem}; ${defaultPorts}` })

/** What comes from something else than a node, or from a port of one that speaks otherwise. */
export const undecodable = wrongPort("what answers there is no FlareDB node, or this is another port of one")

/** What a node's port says to who calls what only another port knows. */
export const unknownThere = (port: string): string => wrongPort(`this is the ${port} port of a node`).message

/** A connection that ended before anything came. */
export const closedUnanswered = wrongPort(
  "the connection was closed without an answer: the node is stopping or full, or another program listens there"
)

/** Characters that are shown of what another program says. */
const maxShown = 40

const isText = (byte: number): boolean => (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x0d

/** Bytes that tell text from a frame, which has the fingerprint of its schema behind its length: that is no text. */
const tellingBytes = 4

/** Types of TLS records that a server may begin with, and the major version behind them. */
const tlsAlert = 0x15
const tlsHandshake = 0x16
const tlsMajor = 0x03

/** What speaks, by the first bytes that came; `undefined` when they may begin a frame. */
export const otherProtocol = (bytes: Uint8Array): WrongPort | undefined => {
  const [first, second] = bytes
  if ((first === tlsAlert || first === tlsHandshake) && second === tlsMajor) {
    return new WrongPort({ problem: "what answers there speaks TLS, and was called without; see --certs-dir" })
  }
  if (bytes.byteLength < tellingBytes || !bytes.subarray(0, tellingBytes).every(isText)) return undefined
  const text = Buffer.from(bytes).toString("latin1")
  if (text.startsWith("HTTP/")) return wrongPort("what answers there speaks HTTP")
  const [line = ""] = text.slice(0, maxShown).split(/[\r\n]/)
  return wrongPort(`another program answers there: it says ${JSON.stringify(line)}`)
}

/** The wrong port among an error and what caused it. */
export const wrongPortIn = (error: unknown): WrongPort | undefined => {
  let current: unknown = error
  for (let depth = 0; depth < 6 && current instanceof Error; depth++) {
    if (current instanceof WrongPort) return current
    current = "reason" in current && current.reason instanceof Error ? current.reason : current.cause
  }
  return undefined
}
