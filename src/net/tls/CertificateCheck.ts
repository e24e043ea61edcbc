/**
 * Whether a certificate lets its owner in, and as whom. OpenSSL has verified the chain by then, and its verdict is one
 * of the facts; what it cannot know is decided here: whose the certificate is, by its one FlareDB name.
 *
 * The names of a certificate are one text in Node. They are never searched for a part: a name could hold another one.
 */
import type { X509Certificate } from "node:crypto"
import { isIP } from "node:net"
import type { CertificateName } from "./CertificateName.ts"
import { isFlareDbUri, parseCertificateName } from "./CertificateName.ts"
import type { Remote } from "./Remote.ts"
import type { TlsRefusal, TlsRefusalReason } from "./TlsRefusal.ts"
import { refusal } from "./TlsRefusal.ts"

/** What is needed of a certificate. */
export type CheckedCertificate = Pick<
  X509Certificate,
  "checkHost" | "checkIP" | "issuer" | "subject" | "subjectAltName" | "validFrom" | "validTo"
>

/** What the other side showed. */
export interface Shown {
  /** Absent when it showed none. */
  readonly certificate: CheckedCertificate | undefined
  /** OpenSSL's code for what is wrong with the chain; absent when nothing is. */
  readonly chainProblem: string | undefined
}

/** What the other side has to be. */
export interface Expected {
  /** Whether a side without a certificate is let in, as `Anonymous`. */
  readonly certificate: "required" | "optional"
  readonly callers: "nodes" | "nodes and clients"
  /** Any where absent. */
  readonly cluster?: string | undefined
  /** Any where absent. */
  readonly node?: number | undefined
  /** The host that was dialled; absent for the side that was dialled, which has no use for the addresses of others. */
  readonly host?: string | undefined
}

/** A name in a sentence: `node 2`, `client billing`. */
export const describeName = (name: CertificateName): string =>
  name.kind === "node" ? `node ${name.node}` : `client ${name.client}`

/** The command that makes the certificate of a name. */
const remedy = (name: CertificateName | undefined): string =>
  name === undefined ? "flaredb cert" : `flaredb cert ${describeName(name)}`

/** What others wrote, for a sentence: one line, short, printable. */
const excerpt = (text: string): string => text.replace(/[^\x20-\x7e]+/g, " ").trim().slice(0, 100)

const dateOf = (text: string): string => {
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? excerpt(text) : new Date(ms).toISOString().slice(0, 10)
}

/** The names of a certificate, each with its kind: `URI:flaredb://…`, `DNS:db-1`. A quoted one is a refusal. */
const entriesOf = (certificate: CheckedCertificate): ReadonlyArray<string> | "quoted" => {
  const text = certificate.subjectAltName ?? ""
  // Node quotes names that hold a comma or the like: they could be read as several.
  return text.includes(`"`) ? "quoted" : text.split(", ").filter((entry) => entry !== "")
}

/** The one name of a certificate, or why there is none. */
export const certificateName = (certificate: CheckedCertificate): CertificateName | TlsRefusal => {
  const whose = `the certificate with the subject ${excerpt(certificate.subject) || "(empty)"}`
  const none = (problem: string) => refusal("no-name", `${whose} ${problem}; make one with flaredb cert`)
  const entries = entriesOf(certificate)
  if (entries === "quoted") return none("has a name with characters that no name here has")
  const uris = entries.filter((entry) => entry.startsWith("URI:")).map((entry) => entry.slice("URI:".length))
  const [uri, ...more] = uris.filter(isFlareDbUri)
  if (uri === undefined) return none("has no flaredb:// name")
  if (more.length > 0) return none("has several flaredb:// names, and must have one")
  return parseCertificateName(uri) ?? none(`has the name ${excerpt(uri)}, which is none of a node or client`)
}

const unknownAuthority: ReadonlySet<string> = new Set([
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
])

/** Why a certificate's time is not now. The authority's may be over, too. */
const timeProblem = (
  certificate: CheckedCertificate,
  whose: string,
  name: CertificateName | undefined,
  chainProblem: string,
  nowMs: number
): TlsRefusal | undefined => {
  if (chainProblem === "CERT_HAS_EXPIRED") {
    const renewal = `renew it with ${remedy(name)} --overwrite`
    return Date.parse(certificate.validTo) <= nowMs
      ? refusal("expired", `${whose} expired on ${dateOf(certificate.validTo)}; ${renewal}`)
      : refusal("expired", `an authority behind ${whose} has expired; rotate it with flaredb cert rotate-ca`)
  }
  if (chainProblem !== "CERT_NOT_YET_VALID") return undefined
  return refusal(
    "not-yet-valid",
    `${whose} is not valid before ${dateOf(certificate.validFrom)}; compare the clocks of both machines`
  )
}

const chainRefusal = (
  certificate: CheckedCertificate,
  name: CertificateName | undefined,
  chainProblem: string,
  nowMs: number
): TlsRefusal => {
  const whose = name === undefined
    ? `the certificate with the subject ${excerpt(certificate.subject) || "(empty)"}`
    : `the certificate of ${describeName(name)}`
  const time = timeProblem(certificate, whose, name, chainProblem, nowMs)
  if (time !== undefined) return time
  if (unknownAuthority.has(chainProblem)) {
    return refusal(
      "unknown-authority",
      `${whose} was issued by ${excerpt(certificate.issuer) || "(empty)"}, which is no authority that is trusted ` +
        "here; use one of this cluster's authority, or add that authority to ca.crt"
    )
  }
  return refusal("invalid", `${whose} cannot be used (${excerpt(chainProblem)}); make one with ${remedy(name)}`)
}

/** Why a name may not be where it is; `undefined` when it may. */
const nameProblem = (name: CertificateName, { callers, cluster, node }: Expected): TlsRefusal | undefined => {
  const refuse = (reason: TlsRefusalReason, problem: string) =>
    refusal(reason, `the certificate of ${describeName(name)} ${problem}`)
  if (callers === "nodes" && name.kind !== "node") {
    return refuse("wrong-kind", "is not a node's; only nodes are accepted here, see flaredb cert node")
  }
  if (cluster !== undefined && name.cluster !== cluster) {
    return refuse("wrong-cluster", `is of the cluster ${name.cluster}, and this is ${cluster}; use one of ${cluster}`)
  }
  if (node !== undefined && name.kind === "node" && name.node !== node) {
    return refuse("wrong-node", `was shown where node ${node} is wanted; correct the addresses or the certificate`)
  }
  return undefined
}

/** Why a certificate is not valid for the host that was dialled; `undefined` when it is. */
const hostProblem = (
  certificate: CheckedCertificate,
  name: CertificateName,
  host: string
): TlsRefusal | undefined => {
  const isValid = isIP(host) === 0
    ? certificate.checkHost(host, { subject: "never" }) !== undefined
    : certificate.checkIP(host) !== undefined
  if (isValid) return undefined
  const hosts = (certificate.subjectAltName ?? "").split(", ")
    .filter((entry) => /^(?:DNS|IP Address):/.test(entry))
    .map((entry) => entry.slice(entry.indexOf(":") + 1))
  return refusal(
    "wrong-host",
    `the certificate of ${describeName(name)} is not valid for ${excerpt(host)}, but for ${
      excerpt(hosts.join(", ")) || "no host"
    }; make one with ${remedy(name)} --host ${excerpt(host)}`
  )
}

/** Who the other side is, or why it is refused. */
export const checkRemote = (
  { certificate, chainProblem }: Shown,
  expected: Expected,
  nowMs: number
): Remote | TlsRefusal => {
  if (certificate === undefined) {
    return expected.certificate === "optional"
      ? { _tag: "Anonymous" }
      : refusal("no-certificate", "no certificate was shown, and one is demanded; make one with flaredb cert")
  }
  const name = certificateName(certificate)
  const isNamed = !("_tag" in name)
  if (chainProblem !== undefined) {
    return chainRefusal(certificate, isNamed ? name : undefined, chainProblem, nowMs)
  }
  if (!isNamed) return name
  return nameProblem(name, expected) ??
    (expected.host === undefined ? undefined : hostProblem(certificate, name, expected.host)) ??
    { _tag: "Named", name }
}
