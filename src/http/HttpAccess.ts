/**
 * Who may ask for which path, as soon as callers have to say who they are: by the certificate of the connection, or by
 * `Authorization: Bearer fdb_…`. Probes are open to all, figures and the API to any caller, everything else to
 * administrators.
 */
import type { Redacted } from "effect"
import { Redacted as Secret } from "effect"
import { HttpServerResponse } from "effect/http"
import type { AccessMetrics } from "../callers/AccessMetrics.ts"
import type { AuditLog } from "../callers/AuditLog.ts"
import type { Authentication, KnownCaller } from "../callers/Authentication.ts"
import { needsProof } from "../callers/Authentication.ts"
import type { AccessError, Overloaded, Unauthorized, Unavailable } from "../FlareDbError.ts"
import { Unauthenticated } from "../FlareDbError.ts"
import type { Caller } from "../machine/Caller.ts"
import type { AdminOperation, MachineAccess } from "../machine/MachineAccess.ts"
import type { ProtocolViolations } from "../net/ProtocolViolations.ts"
import type { Remote } from "../net/tls/Remote.ts"
import type { Unknown } from "../node/UpToDate.ts"
import { printable } from "../Printable.ts"
import { maxTokenCharacters } from "../protocol/ClientRpcs.ts"
import { failed } from "./api/FailureResponse.ts"
import { failureOf } from "./api/Failures.ts"
import type { RequestCaller } from "./RequestCaller.ts"
import type { RequestCallers } from "./RequestCallers.ts"

/** What a request shows. */
export interface HttpCaller {
  readonly remote: Remote
  /** Its connection, as `host:port`. */
  readonly from: string
  readonly authorization: string | undefined
}

export interface HttpAccessOptions {
  readonly authentication: Authentication
  readonly access: MachineAccess
  readonly metrics: AccessMetrics
  readonly violations: ProtocolViolations
  readonly audit?: AuditLog | undefined
  readonly callers?: RequestCallers | undefined
  /** Why nothing large is answered now (`OpenAnswers.ts`). */
  readonly room: () => Overloaded | undefined
}

/** What is answered with keys and values: only that waits for room. */
const isLarge = (path: string): boolean => isApi(path) || path.startsWith("/console/calls/")

/** What any caller may ask for: figures, and the API, which asks for each operation whether its caller may do it. */
const isForAnyCaller = (path: string): boolean =>
  path === "/metrics" || isApi(path) || path.startsWith("/console/calls/") || path === "/console/watch"

const isApi = (path: string): boolean => path === "/v1" || path.startsWith("/v1/")

/** The answer to a caller that is not known: in the words of the API where it asked for that. */
const unauthenticated = (path: string, reason: string): HttpServerResponse.HttpServerResponse => {
  const headers = { "www-authenticate": `Bearer realm="flaredb"` }
  return isApi(path)
    ? failed(failureOf(new Unauthenticated({ reason })), headers)
    : HttpServerResponse.text(`${reason}\n`, { status: 401, headers })
}

/** The answer where this node cannot know what it turns on: another one may know. */
export const unproven = (path: string, error: Unavailable): HttpServerResponse.HttpServerResponse =>
  isApi(path) ? failed(failureOf(error)) : HttpServerResponse.text(`${error.message}\n`, { status: 503 })

/** What of an administrator's each path is; what is not named is the first, so that no path can be forgotten. */
const operationOf = (path: string): AdminOperation => path.startsWith("/debug/") ? "debug" : "status-page"

const bearer = /^bearer +(\S+) *$/i

/** The token in an `Authorization` header. */
export const bearerToken = (authorization: string | undefined): Redacted.Redacted | undefined => {
  const text = bearer.exec(authorization ?? "")?.[1]
  return text === undefined ? undefined : Secret.make(text.slice(0, maxTokenCharacters + 1), { label: "token" })
}

export class HttpAccess {
  private readonly options: HttpAccessOptions

  constructor(options: HttpAccessOptions) {
    this.options = options
  }

  /** What the answer turns on, where a node that is behind may not know it. */
  unknownOf(path: string, { authorization, remote }: HttpCaller): Unknown | undefined {
    const found = this.options.authentication.identify({ remote, token: bearerToken(authorization) })
    if (needsProof(found)) return "whether the token is valid"
    const isRefusing = found._tag === "KnownCaller" && this.refusal(path, found) !== undefined
    return isRefusing ? "what its caller may do" : undefined
  }

  /** Who makes a request that may be answered, or how it is refused. */
  admit(path: string, caller: HttpCaller): RequestCaller | HttpServerResponse.HttpServerResponse {
    const { authentication, callers, metrics, violations, room } = this.options
    const { authorization, from, remote } = caller
    const found = authentication.identify({ remote, token: bearerToken(authorization) })
    if (found._tag === "UnknownCaller") {
      metrics.unauthenticated(found.cause)
      // The log bounds the lines. A caller that fails is not locked out: others could have it locked out.
      violations.report("refused-request", from, `refused ${printable(path.slice(0, 100))}: ${found.reason}`)
      this.note(undefined, from, path, "refused: Unauthenticated")
      return unauthenticated(path, found.reason)
    }
    const full = isLarge(path) ? room() : undefined
    if (full !== undefined) return failed(failureOf(full))
    const refused = (error: AccessError) => {
      if (error._tag === "Unauthenticated") metrics.unauthenticated("token-ended")
      else metrics.unauthorized(error.name)
      this.note(found.caller, from, path, `refused: ${error._tag}`)
    }
    const admitted: RequestCaller = { known: found, from, callers, refused, room }
    const refusal = this.refusal(path, found)
    if (refusal === undefined) return admitted
    refused(refusal)
    return HttpServerResponse.text(`${refusal.message}\n`, { status: 403 })
  }

  private refusal(path: string, { caller }: KnownCaller): Unauthorized | undefined {
    return caller === undefined || isForAnyCaller(path)
      ? undefined
      : this.options.access.admin(caller, operationOf(path))
  }

  private note(caller: Caller | undefined, from: string, path: string, outcome: `refused: ${string}`): void {
    const { access, audit } = this.options
    const operation = `HTTP ${printable(path.slice(0, 100))}`
    const record = { name: caller?.name, from, operation, ranges: [], outcome }
    if (caller !== undefined && access.isUser(caller.name)) audit?.note(record)
    else audit?.noteStranger(record)
  }
}
