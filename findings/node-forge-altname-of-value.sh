#!/usr/bin/env bash
# node-forge: an IP address that is given as `value` makes a certificate that no client takes for that address.
#
# Versions:  node-forge 1.4.3, selfsigned 5.5.0, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  an alternative name is a type and its value: `{ type: 2, value: "node1" }` is a name of DNS, as its page
#            has it, and `{ type: 7, value: "127.0.0.1" }` is an address. What cannot be an address is refused.
# Happens:   only `ip` is turned into the four bytes of an address. With `value` the nine characters become the
#            address, and there is no error: the certificate is made, is signed and is valid, and a client that
#            connects to 127.0.0.1 says that it is for another host. As a name of DNS, the usual way out, the address
#            is not found either, for an address is looked up among addresses. selfsigned, which once gave such
#            options to node-forge, makes an address of `value`.
# Setup:     certificates with one alternative name each: what Node.js reads, and how a TLS connection to the address
#            ends. "refused" is the error ERR_TLS_CERT_ALTNAME_INVALID of the client.
# Output:    forge {"type":7,"ip":"127.0.0.1"}: IP Address:127.0.0.1, connected
#            forge {"type":7,"value":"127.0.0.1"}: IP Address:<invalid length=9>, refused
#            forge {"type":2,"value":"127.0.0.1"}: DNS:127.0.0.1, refused
#            selfsigned {"type":7,"value":"127.0.0.1"}: IP Address:127.0.0.1, connected
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error node-forge@1.4.3 selfsigned@5.5.0 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { X509Certificate } from "node:crypto"
import { once } from "node:events"
import { connect, createServer } from "node:tls"
import forge from "node-forge"
import selfsigned from "selfsigned"

const attributes = [{ name: "commonName", value: "node1" }]
const makers = {
  forge: (altName) => {
    const keys = forge.pki.rsa.generateKeyPair(2048)
    const certificate = forge.pki.createCertificate()
    certificate.publicKey = keys.publicKey
    certificate.serialNumber = "01"
    certificate.validity.notAfter = new Date(Date.now() + 86_400_000)
    certificate.setSubject(attributes)
    certificate.setIssuer(attributes)
    certificate.setExtensions([{ name: "subjectAltName", altNames: [altName] }])
    certificate.sign(keys.privateKey, forge.md.sha256.create())
    return { cert: forge.pki.certificateToPem(certificate), private: forge.pki.privateKeyToPem(keys.privateKey) }
  },
  selfsigned: (altName) =>
    selfsigned.generate(attributes, { extensions: [{ name: "subjectAltName", altNames: [altName] }] })
}
const ends = { ERR_TLS_CERT_ALTNAME_INVALID: "refused" }
const look = async (maker, altName) => {
  const made = await makers[maker](altName)
  const { subjectAltName } = new X509Certificate(made.cert)
  const server = createServer({ cert: made.cert, key: made.private }, (socket) => socket.end())
  server.on("tlsClientError", () => {})
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const socket = connect({ host: "127.0.0.1", port: server.address().port, ca: made.cert })
  const end = await once(socket, "secureConnect").then(() => "connected", ({ code }) => ends[code] ?? code)
  socket.destroy()
  server.close()
  return `${maker} ${JSON.stringify(altName)}: ${subjectAltName}, ${end}`
}
const value = "127.0.0.1"
const seen = [
  await look("forge", { type: 7, ip: value }),
  await look("forge", { type: 7, value }),
  await look("forge", { type: 2, value }),
  await look("selfsigned", { type: 7, value })
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  'forge {"type":7,"ip":"127.0.0.1"}: IP Address:127.0.0.1, connected',
  'forge {"type":7,"value":"127.0.0.1"}: IP Address:<invalid length=9>, refused',
  'forge {"type":2,"value":"127.0.0.1"}: DNS:127.0.0.1, refused',
  'selfsigned {"type":7,"value":"127.0.0.1"}: IP Address:127.0.0.1, connected'
], "the behaviour has changed")
process.exit()
JS
timeout 60 node_modules/.bin/node finding.mjs
