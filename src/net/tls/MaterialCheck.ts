/** Whether the certificates and the key of this side can be used: what would otherwise fail in every handshake. */
import { Data, Redacted, Result } from "effect"
import type { KeyObject, X509Certificate } from "node:crypto"
import { createPrivateKey } from "node:crypto"
import { errorText } from "../../ErrorText.ts"
import { certificateName, describeName } from "./CertificateCheck.ts"
import type { CertificateName } from "./CertificateName.ts"
import type { KeyMaterial } from "./Credentials.ts"
import { certificatesIn } from "./PemBlocks.ts"

/** Certificates or a key that cannot be used. */
export class CredentialsError extends Data.TaggedError("CredentialsError")<{
  readonly file: string
  readonly problem: string
  /** What to do, as an order. */
  readonly advice: string
}> {
  override get message() {
    return `${this.file}: ${this.problem}; ${this.advice}`
  }
}

/** Where certificates and keys are. */
export interface CredentialsFiles {
  /** PEM of the authorities that are accepted. */
  readonly authorities: string
  /** PEM of the own certificate, with those between it and an authority. Given together with `key`. */
  readonly certificate?: string | undefined
  readonly key?: string | undefined
}

/** Whose the own certificate has to be. */
export interface ExpectedOwner {
  /** Either where absent: nodes may be clients. */
  readonly kind?: CertificateName["kind"] | undefined
  /** Any where absent. */
  readonly cluster?: string | undefined
  /** For a node; any where absent. */
  readonly node?: number | undefined
}

/** What is known of usable credentials. */
export interface CheckedMaterial {
  readonly material: KeyMaterial
  /** Absent without an own certificate. */
  readonly own?: { readonly name: CertificateName; readonly expiresMs: number }
  /** When the first of the authorities ends, in milliseconds since the epoch. */
  readonly authoritiesExpireMs: number
}

/** The certificates of a PEM text. @throws with what is wrong, in words. */
const parseCertificates = (text: string): ReadonlyArray<X509Certificate> =>
  Result.getOrThrowWith(certificatesIn(text), (problem) => new Error(problem))

const toIso = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

const expiryOf = (certificate: X509Certificate): number => Date.parse(certificate.validTo)

/** Why a certificate cannot be used now; `undefined` when it can. */
const timeProblem = (certificate: X509Certificate, nowMs: number): string | undefined => {
  const fromMs = Date.parse(certificate.validFrom)
  if (expiryOf(certificate) <= nowMs) return `expired on ${toIso(expiryOf(certificate))}`
  return fromMs > nowMs ? `is not valid before ${toIso(fromMs)}` : undefined
}

/**
 * Why a certificate has no trusted authority behind it; `undefined` when it has. Node follows a chain to its root and
 * trusts nothing below, so that an authority without the one above it would fail in every handshake.
 */
const chainProblem = (
  [leaf, ...between]: ReadonlyArray<X509Certificate>,
  authorities: ReadonlyArray<X509Certificate>
): "no authority" | "no root" | undefined => {
  let current = leaf
  let isTrusted = false
  for (let depth = 0; current !== undefined && depth <= between.length + authorities.length; depth++) {
    const under = current
    const issued = (issuer: X509Certificate) => under.checkIssued(issuer) && under.verify(issuer.publicKey)
    const trusted = authorities.find(issued)
    if (trusted?.checkIssued(trusted) === true) return undefined
    isTrusted ||= trusted !== undefined
    current = trusted ?? between.find(issued)
  }
  return isTrusted ? "no root" : "no authority"
}

const ownerProblem = (name: CertificateName, { cluster, kind, node }: ExpectedOwner): string | undefined => {
  if (kind !== undefined && name.kind !== kind) {
    return `it is the certificate of ${describeName(name)}, and a ${kind}'s is needed`
  }
  if (cluster !== undefined && name.cluster !== cluster) {
    return `it is of the cluster ${name.cluster}, and this is ${cluster}`
  }
  return node !== undefined && name.kind === "node" && name.node !== node
    ? `it is the certificate of ${describeName(name)}, and this is node ${node}`
    : undefined
}

/** The texts of {@link CredentialsFiles}. */
export interface CredentialsTexts {
  readonly authorities: string
  readonly own?: { readonly certificate: string; readonly key: string }
}

type Checked<A> = Result.Result<A, CredentialsError>

const attempt = <A>(file: string, advice: string, work: () => A): Checked<A> =>
  Result.try({ try: work, catch: (error) => new CredentialsError({ file, problem: errorText(error), advice }) })

const failed = (file: string, problem: string, advice: string): Checked<never> =>
  Result.fail(new CredentialsError({ file, problem, advice }))

const checkAuthorities = (
  file: string,
  text: string,
  nowMs: number
): Checked<ReadonlyArray<X509Certificate>> => {
  const parsed = attempt(file, "name the file of the cluster's authority, ca.crt", () => parseCertificates(text))
  if (Result.isFailure(parsed)) return parsed
  // One that is over may stay beside its successor.
  const problems = parsed.success.map((authority) => timeProblem(authority, nowMs))
  const [first] = problems
  return first !== undefined && problems.every((problem) => problem !== undefined)
    ? failed(file, `the authority ${first}`, "make another one with flaredb cert rotate-ca")
    : parsed
}

const checkKey = (file: string, text: string, certificate: X509Certificate, certificateFile: string): Checked<void> => {
  let key: KeyObject
  try {
    key = createPrivateKey(text)
  } catch {
    // OpenSSL's own words say nothing more to the reader, and an error may quote the text.
    const encrypted = /ENCRYPTED/.test(text)
    return failed(
      file,
      encrypted ? "the key has a passphrase" : "it holds no private key in PEM form",
      encrypted ? "keep it without one, readable by its owner alone" : "name the key of the certificate"
    )
  }
  return certificate.checkPrivateKey(key)
    ? Result.void
    : failed(file, `the key is not the one of ${certificateFile}`, "take both files from the same flaredb cert")
}

const checkOwn = (
  files: { readonly authorities: string; readonly certificate: string; readonly key: string },
  own: { readonly certificate: string; readonly key: string },
  authorities: ReadonlyArray<X509Certificate>,
  owner: ExpectedOwner,
  nowMs: number
): Checked<NonNullable<CheckedMaterial["own"]>> => {
  const make = `make one with flaredb cert ${owner.kind ?? "client"} ${
    owner.kind === "node" ? owner.node ?? "ID" : "NAME"
  }`
  const chain = attempt(files.certificate, make, () => parseCertificates(own.certificate))
  if (Result.isFailure(chain)) return Result.fail(chain.failure)
  const [leaf] = chain.success
  if (leaf === undefined) return failed(files.certificate, "it is empty", make)
  const name = certificateName(leaf)
  if ("_tag" in name) return failed(files.certificate, name.problem, make)
  const problem = ownerProblem(name, owner)
  if (problem !== undefined) return failed(files.certificate, problem, make)
  const time = timeProblem(leaf, nowMs)
  if (time !== undefined) {
    return failed(
      files.certificate,
      `the certificate of ${describeName(name)} ${time}`,
      time.startsWith("expired")
        ? `renew it with flaredb cert ${describeName(name)} --overwrite`
        : "compare the clock of this machine"
    )
  }
  const key = checkKey(files.key, own.key, leaf, files.certificate)
  if (Result.isFailure(key)) return Result.fail(key.failure)
  const behind = chainProblem(chain.success, authorities)
  if (behind === "no root") {
    return failed(
      files.authorities,
      `it holds an authority behind the certificate of ${describeName(name)}, and not the root above that`,
      "append the root's certificate"
    )
  }
  return behind === undefined
    ? Result.succeed({ name, expiresMs: expiryOf(leaf) })
    : failed(
      files.certificate,
      `the certificate of ${describeName(name)} was issued by no authority of ${files.authorities}`,
      "use certificates and ca.crt of the same authority"
    )
}

/** Checks what files hold, as whole as the handshake will. `nowMs` is the time that they have to be valid at. */
export const checkMaterial = (
  files: CredentialsFiles,
  texts: CredentialsTexts,
  owner: ExpectedOwner,
  nowMs: number
): Result.Result<CheckedMaterial, CredentialsError> => {
  const authorities = checkAuthorities(files.authorities, texts.authorities, nowMs)
  if (Result.isFailure(authorities)) return Result.fail(authorities.failure)
  const authoritiesExpireMs = Math.min(...authorities.success.map(expiryOf))
  const { own } = texts
  if (own === undefined) {
    return Result.succeed({ material: { authorities: texts.authorities }, authoritiesExpireMs })
  }
  const named = { authorities: files.authorities, certificate: files.certificate ?? "", key: files.key ?? "" }
  return Result.map(checkOwn(named, own, authorities.success, owner, nowMs), (checked) => ({
    material: {
      authorities: texts.authorities,
      own: { certificate: own.certificate, key: Redacted.make(own.key) }
    },
    own: checked,
    authoritiesExpireMs
  }))
}
