/** Temporary folders of certificates, as `flaredb cert` leaves them. */
import { Effect, Redacted, Result } from "effect"
import { createPrivateKey, X509Certificate } from "node:crypto"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { issue, makeAuthority } from "../../../src/certificates/Authority.ts"
import type { Authority } from "../../../src/certificates/Authority.ts"
import type { HolderFiles } from "../../../src/cli/certificates/CertificateFolder.ts"
import { filesOf } from "../../../src/cli/certificates/CertificateFolder.ts"
import type { CertificateName } from "../../../src/net/tls/CertificateName.ts"

/** The time at which tests use certificates. */
export const nowMs = Date.UTC(2026, 5, 1, 12)

/** A folder that is removed with the scope. */
export const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "flaredb-certs-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

export const write = (path: string, text: string, mode = 0o600): void => writeFileSync(path, text, { mode })

export const read = (path: string): string => readFileSync(path, "utf8")

/** Makes the authority of a folder. */
export const putAuthority = (folder: string, cluster = "prod", days = 100): Authority => {
  const authority = Result.getOrThrow(makeAuthority({ cluster, days, nowMs }))
  write(join(folder, "ca.crt"), authority.certificate)
  write(join(folder, "ca.key"), Redacted.value(authority.key))
  return authority
}

/** Issues into a folder of the holder's own. */
export const putHolder = (
  folder: string,
  authority: Authority,
  name: CertificateName,
  hosts: ReadonlyArray<string> = [],
  days = 30
): HolderFiles => {
  const files = filesOf(folder, name)
  const issued = Result.getOrThrow(issue(authority, { name, hosts, days, nowMs }))
  mkdirSync(files.folder, { mode: 0o700 })
  write(files.authorities, authority.certificate)
  write(files.certificate, issued.certificate)
  write(files.key, Redacted.value(issued.key))
  return files
}

/** Whether a certificate and a key in files are a pair. */
export const isPair = (certificate: string, key: string): boolean =>
  new X509Certificate(read(certificate)).checkPrivateKey(createPrivateKey(read(key)))
