/**
 * Who a caller is, from what its connection shows: a certificate, a token, or both. A port decides once for each
 * connection; what the caller may do is asked for every call.
 */
import type { Redacted } from "effect"
import { Redacted as Secret } from "effect"
import { createHash, timingSafeEqual } from "node:crypto"
import type { ClientAuth, TlsMode } from "../config/Security.ts"
import { parseToken } from "../kv/model/access/Token.ts"
import { hashOfSecret } from "../kv/TokenSecret.ts"
import type { Caller } from "../machine/Caller.ts"
import { administrator } from "../machine/Caller.ts"
import type { MachineAccess } from "../machine/MachineAccess.ts"
import type { Remote } from "../net/tls/Remote.ts"

/** Why a caller is not known. Names of a metric's label, so that they stay. */
export type UnauthenticatedReason =
  /** It showed nothing of what the port asks for. */
  | "no-credentials"
  /** What it showed as a token is none. */
  | "malformed-token"
  /** No such token is valid: unknown, removed or ended. */
  | "unknown-token"
  /** Its certificate and its token are of two names. */
  | "names-differ"
  /** A token came over a connection that others can read. */
  | "plain-token"
  /** It was known, and its token was removed or ended since. */
  | "token-ended"

/** A caller that is not known, with what to do, in words. */
export interface UnknownCaller {
  readonly _tag: "UnknownCaller"
  readonly cause: UnauthenticatedReason
  readonly reason: string
}

/** A caller that is known. */
export interface KnownCaller {
  readonly _tag: "KnownCaller"
  /** `undefined` where callers are not asked who they are. */
  readonly caller: Caller | undefined
  /** By the bootstrap token, which counts only while there are no names. */
  readonly bootstrap: boolean
}

/** What a connection shows. */
export interface Shown {
  readonly remote: Remote
  readonly token: Redacted.Redacted | undefined
}

export interface AuthenticationOptions {
  readonly clientAuth: ClientAuth
  readonly mode: TlsMode
  readonly access: MachineAccess
  /** Makes the caller that shows it the administrator for as long as the cluster knows no names. */
  readonly bootstrapToken?: Redacted.Redacted | undefined
  /** Whether only processes of this machine can connect, so that a token needs no encryption. */
  readonly isLoopback: () => boolean
}

/** Whether an answer turns on what tokens there are, so that a node which is behind may be wrong. */
export const needsProof = (found: KnownCaller | UnknownCaller): boolean =>
  found._tag === "KnownCaller" ? found.bootstrap : found.cause === "unknown-token"

/** Whether a caller is still who it was: its token was not removed, and that of the bootstrap still counts. */
export const stillHolds = (access: MachineAccess, { bootstrap, caller }: KnownCaller): boolean => {
  if (caller === undefined) return true
  return bootstrap ? access.isEmpty() : access.isValid(caller)
}

const unknown = (cause: UnauthenticatedReason, reason: string): UnknownCaller => ({
  _tag: "UnknownCaller",
  cause,
  reason
})

const known = (caller: Caller | undefined, bootstrap = false): KnownCaller => ({
  _tag: "KnownCaller",
  caller,
  bootstrap
})

const sha256 = (text: string): Uint8Array => createHash("sha256").update(text).digest()

/** What is to be shown, by what the port asks for. */
const demands: Readonly<Record<Exclude<ClientAuth, "none">, string>> = {
  certificate: "a client's certificate",
  token: "a token",
  either: "a client's certificate or a token"
}

/** The caller that a certificate names; `undefined` when none was shown. */
const ofCertificate = (remote: Remote): Caller | undefined => {
  if (remote._tag !== "Named") return undefined
  return remote.name.kind === "node"
    // No client can have a name with a slash.
    ? { name: `node/${remote.name.node}`, isNode: true }
    : { name: remote.name.client, isNode: false }
}

export class Authentication {
  private readonly options: AuthenticationOptions
  private readonly bootstrapHash: Uint8Array | undefined

  constructor(options: AuthenticationOptions) {
    this.options = options
    const { bootstrapToken } = options
    this.bootstrapHash = bootstrapToken === undefined ? undefined : sha256(Secret.value(bootstrapToken).trim())
  }

  /**
   * Who shows this. An answer that turns on what tokens there are (`unknown-token`, and the bootstrap token) holds only
   * at a node that has applied everything: another one may not know the newest.
   */
  identify({ remote, token }: Shown): KnownCaller | UnknownCaller {
    const { clientAuth, isLoopback, mode } = this.options
    if (clientAuth === "none") return known(undefined)
    const isPlain = remote._tag === "Plain"
    if (isPlain && token !== undefined && !isLoopback()) {
      return unknown(
        "plain-token",
        "a token came over a connection that is not encrypted, so that others may know it now; remove it, create " +
          "another one and use it over TLS"
      )
    }
    // As before TLS, while it is being turned on.
    if (isPlain && token === undefined && (mode === "accept" || mode === "dial")) return known(undefined)
    const certified = ofCertificate(remote)
    const usable = certified?.isNode === true || clientAuth !== "token" ? certified : undefined
    if (token === undefined) return usable === undefined ? this.nothing(remote) : known(usable)
    return this.withToken(token, certified, usable)
  }

  /** Whether a caller is still who it was. */
  holds(known: KnownCaller): boolean {
    return stillHolds(this.options.access, known)
  }

  private withToken(
    token: Redacted.Redacted,
    certified: Caller | undefined,
    usable: Caller | undefined
  ): KnownCaller | UnknownCaller {
    const { access, clientAuth } = this.options
    let result: KnownCaller
    if (this.isBootstrap(token)) {
      if (!access.isEmpty()) {
        return unknown(
          "unknown-token",
          "the bootstrap token is of no effect any more: the cluster has users; show a token of one"
        )
      }
      result = known({ name: administrator, isNode: false }, true)
    } else {
      const parsed = parseToken(Secret.value(token))
      if ("problem" in parsed) return unknown("malformed-token", `the token ${parsed.problem}`)
      const caller = access.authenticate(parsed.name, hashOfSecret(parsed.secret))
      if (caller === undefined) return unknown("unknown-token", unknownToken(parsed.name))
      result = known(caller)
    }
    const { name } = result.caller as Caller
    if (certified !== undefined && certified.name !== name) {
      return unknown(
        "names-differ",
        `the certificate is of ${certified.name} and the token of ${name}; show one of them, or two of one name`
      )
    }
    return clientAuth === "certificate" && usable === undefined ? this.nothing() : result
  }

  private isBootstrap(token: Redacted.Redacted): boolean {
    const { bootstrapHash } = this
    return bootstrapHash !== undefined && timingSafeEqual(bootstrapHash, sha256(Secret.value(token)))
  }

  private nothing(remote?: Remote): UnknownCaller {
    const { clientAuth } = this.options
    if (clientAuth === "none") throw new Error("nothing is asked for")
    const shown = remote?._tag === "Named" ? `the certificate of ${ofCertificate(remote)?.name} is not asked for` : ""
    return unknown(
      "no-credentials",
      `this node asks its callers for ${demands[clientAuth]}, and ${shown === "" ? "none was shown" : shown}`
    )
  }
}

const unknownToken = (name: string): string =>
  `the token of ${name} is unknown, was removed or has ended; create another one with flaredb access token create ` +
  name
