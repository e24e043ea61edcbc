/** How certificates are shown: to people, and as JSON to programs. */
import type { CertificateFacts } from "../../certificates/Certificates.ts"
import { describeName } from "../../net/tls/CertificateCheck.ts"
import type { CertificateName } from "../../net/tls/CertificateName.ts"
import { formatCertificateName } from "../../net/tls/CertificateName.ts"
import { table } from "../output/Table.ts"

const dayMs = 86_400_000

/** Days until a time, the nearest whole number; 0 on the last day, and negative once it is over. */
export const daysUntil = (ms: number, nowMs: number): number => {
  const left = (ms - nowMs) / dayMs
  return left < 1 ? Math.floor(left) : Math.round(left)
}

/** A time as certificates have it, or what is there instead of one. */
export const isoTime = (ms: number): string =>
  Number.isFinite(ms) ? new Date(ms).toISOString().replace(".000Z", "Z") : "no valid time"

const days = (count: number): string => `${count} day${count === 1 ? "" : "s"}`

/** `2027-06-01T12:00:00Z, 364 days left`. */
export const untilText = (ms: number, nowMs: number): string => {
  const left = daysUntil(ms, nowMs)
  return `${isoTime(ms)}, ${ms <= nowMs ? "expired" : left === 0 ? "less than a day left" : `${days(left)} left`}`
}

/** `node 1 of cluster prod`. */
export const holderText = (name: CertificateName): string => `${describeName(name)} of cluster ${name.cluster}`

export const factsText = (facts: CertificateFacts, nowMs: number): string => {
  const { fingerprint, hosts, isAuthority, issuer, name, serialNumber, subject, validFromMs, validToMs } = facts
  const hostText = hosts.length > 0 ? hosts.join(", ") : isAuthority || name?.kind === "client" ? "none needed" : "none"
  return table([
    ["subject", subject || "(empty)"],
    [
      "holder",
      name === undefined
        ? isAuthority ? "an authority" : "not said: it has no usable flaredb:// name"
        : `${holderText(name)}, ${formatCertificateName(name)}`
    ],
    ["hosts", hostText],
    ["valid from", isoTime(validFromMs) + (validFromMs > nowMs ? ", not yet valid" : "")],
    ["valid to", untilText(validToMs, nowMs)],
    ["issuer", issuer === subject ? "itself" : issuer],
    ["serial number", serialNumber],
    ["SHA-256", fingerprint]
  ])
}

export const factsJson = (facts: CertificateFacts, nowMs: number) => ({
  subject: facts.subject,
  name: facts.name === undefined ? null : formatCertificateName(facts.name),
  isAuthority: facts.isAuthority,
  hosts: facts.hosts,
  validFrom: isoTime(facts.validFromMs),
  validTo: isoTime(facts.validToMs),
  daysLeft: daysUntil(facts.validToMs, nowMs),
  issuer: facts.issuer,
  serialNumber: facts.serialNumber,
  sha256: facts.fingerprint
})
