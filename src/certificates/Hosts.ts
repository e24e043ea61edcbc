/** The hosts that a certificate is valid for: names and addresses, as the other side dials them. */
import { Buffer } from "node:buffer"
import type { AltName } from "./Signing.ts"

/** Hosts that one certificate has at most. */
export const maxHosts = 32

const maxNameLength = 253

/** Underscores stand in names of containers, though not in those of the Internet. */
const label = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/

const ipv4 = /^(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}$/

const ipv4Bytes = (text: string): Uint8Array | undefined =>
  ipv4.test(text) && !/(?:^|\.)0\d/.test(text) ? Uint8Array.from(text.split("."), Number) : undefined

/** The address in its one normal form, or `undefined` when it is none. */
const normalIpv6 = (text: string): string | undefined => {
  if (!/^[0-9A-Fa-f:.]{2,45}$/.test(text) || !text.includes(":")) return undefined
  const url = `http://[${text}]/`
  return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : undefined
}

const ipv6Bytes = (text: string): Uint8Array | undefined => {
  const normal = normalIpv6(text)
  if (normal === undefined) return undefined
  const [before = "", after] = normal.split("::")
  const groups = (side: string): ReadonlyArray<string> => side === "" ? [] : side.split(":")
  const [head, tail] = [groups(before), groups(after ?? "")]
  const middle = Array.from({ length: 8 - head.length - tail.length }, () => "0")
  const bytes = Buffer.alloc(16)
  for (const [i, group] of [...head, ...middle, ...tail].entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2)
  }
  return bytes
}

const isName = (text: string): boolean => {
  const labels = text.split(".")
  return text.length <= maxNameLength && labels.every((part) => label.test(part)) && !/^\d+$/.test(labels.at(-1) ?? "")
}

/** The name in a certificate for a host, or what is wrong with it. Nothing in it can be taken for another name. */
export const hostName = (host: string): AltName | string => {
  const address = ipv4Bytes(host) ?? ipv6Bytes(host)
  if (address !== undefined) return { address }
  if (isName(host)) return { dns: host.toLowerCase() }
  const shown = JSON.stringify(host.slice(0, 80))
  if (host.startsWith("*.")) return `${shown} is a wildcard; name each host by which the node is dialled`
  if (/^\[.*\]$/.test(host)) return `${shown} stands in brackets; give the IPv6 address without them`
  if (/^[^:]+:\d+$/.test(host)) return `${shown} has a port; give the host alone`
  return `${shown} is no host name and no IP address; give what the others dial, such as db1.example.com or 10.0.0.1`
}

/** A host as people write it: an IPv6 address in its short form. */
export const normalHost = (host: string): string => normalIpv6(host) ?? host
