/** Why a call failed, in one line for people. */
import { Cause, Option } from "effect"
import { errorCode } from "../ErrorCode.ts"
import { oneLine } from "./OneLine.ts"
import type { TlsRefusal } from "./tls/TlsRefusal.ts"
import { refusalIn } from "./tls/TlsRefusal.ts"
import { undecodable, wrongPortIn } from "./WrongPort.ts"

/** What the system's codes mean to the reader of the line. */
const meanings: Readonly<Record<string, string>> = {
  ECONNREFUSED: "no process listens there",
  ECONNRESET: "the connection was reset",
  EPIPE: "the connection was closed",
  ENOTFOUND: "the host name is unknown",
  EAI_AGAIN: "the host name cannot be looked up now",
  EHOSTUNREACH: "there is no route to the host",
  ENETUNREACH: "there is no route to the network",
  ETIMEDOUT: "it does not answer"
}

/** What such a code says, with the code; `undefined` for one that is not among them. */
export const meaningOf = (code: string | undefined): string | undefined =>
  code === undefined || meanings[code] === undefined ? undefined : `${meanings[code]} (${code})`

/** What comes from something else than a node. The serialization of Effect RPC has no tag for it. */
const decodingError = /^Error decoding message/

/** What the socket's errors mean when the system gives no code. */
const reasons: Readonly<Record<string, string>> = {
  SocketOpenError: "it cannot be connected to",
  SocketCloseError: "the connection was closed",
  SocketReadError: "the connection broke",
  SocketWriteError: "the connection broke"
}

/** The first system code in an error and what caused it. */
export const systemCode = (error: unknown): string | undefined => {
  let current: unknown = error
  for (let depth = 0; depth < 6 && current instanceof Error; depth++) {
    const code = errorCode(current)
    if (code !== undefined) return code
    if (current instanceof AggregateError && current.errors.length > 0) current = current.errors[0]
    else if ("reason" in current && current.reason instanceof Error) current = current.reason
    else current = current.cause
  }
  return undefined
}

/** What the system says when it knows at once that no node can be reached there. */
const refusals: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL"
])

const errorOf = (cause: Cause.Cause<unknown>): unknown =>
  Option.getOrElse(Cause.findErrorOption(cause), () => Cause.squash(cause))

/** Why TLS did not let the connection come about, when it was that. */
export const tlsRefusalOf = (cause: Cause.Cause<unknown>): TlsRefusal | undefined => refusalIn(errorOf(cause))

/** Whether a connection was refused, instead of lost or not made in time. */
export const isRefusedConnection = (cause: Cause.Cause<unknown>): boolean =>
  refusals.has(systemCode(errorOf(cause)) ?? "") || tlsRefusalOf(cause) !== undefined

const tagOf = (error: unknown): string | undefined =>
  typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : undefined

export const describeFailure = (cause: Cause.Cause<unknown>): string => {
  const error = errorOf(cause)
  if (!(error instanceof Error)) return String(error)
  const refused = refusalIn(error)
  if (refused !== undefined) return refused.message
  const wrongPort = wrongPortIn(error)
  if (wrongPort !== undefined) return wrongPort.message
  const code = systemCode(error)
  const meaning = meaningOf(code)
  if (meaning !== undefined) return meaning
  const inner = "reason" in error && error.reason instanceof Error ? error.reason : error
  const text = oneLine(inner.message)
  if (decodingError.test(text)) return undecodable.message
  return reasons[tagOf(inner) ?? ""] ?? (text === "" ? inner.name : text)
}
