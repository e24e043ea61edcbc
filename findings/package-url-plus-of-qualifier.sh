#!/usr/bin/env bash
# purl and packageurl-js: the repository `git+https://…` that one of them writes is `git https://…` for the other.
#
# Versions:  purl 2.1.0, packageurl-js 2.0.1, Node.js 24.21.0. Seen 2026-12-01.
# Expected:  both name the specification of package URLs, so that what one of them writes into a list of components,
#            the other one reads as it was, and two texts for one package are equal once both are normalized.
# Happens:   in the value of a qualifier purl writes a plus as it is, and packageurl-js reads it as a space, as in an
#            HTML form. So `vcs_url`, whose values begin with `git+https` as a rule, names no repository any more. In a
#            version a plus stays a plus for both. What packageurl-js writes, purl reads well, but its normal form has
#            other characters escaped, so that the texts differ and a comparison of two lists finds the package twice.
# Setup:     one package, written by each of them, read by the other one, and normalized by both.
# Output:    purl writes pkg:npm/a@1.0.0+b?vcs_url=git+https://host.example/a
#            packageurl-js reads version 1.0.0+b, vcs_url git https://host.example/a
#            packageurl-js writes pkg:npm/a@1.0.0+b?vcs_url=git%2Bhttps%3A%2F%2Fhost.example%2Fa
#            purl reads version 1.0.0+b, vcs_url git+https://host.example/a
#            normalized: pkg:npm/a@1.0.0+b?vcs_url=git+https://host.example/a of purl
#            normalized: pkg:npm/a@1.0.0+b?vcs_url=git%2Bhttps%3A%2F%2Fhost.example%2Fa of packageurl-js
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --no-audit --no-fund --ignore-scripts --loglevel=error purl@2.1.0 packageurl-js@2.0.1 \
  "node@npm:node-$(node -p 'process.platform + "-" + process.arch')@24.21.0" >/dev/null

cat >finding.mjs <<'JS'
import assert from "node:assert/strict"
import { PackageURL } from "packageurl-js"
import { normalize, parse, stringify } from "purl"

const [type, name, version] = ["npm", "a", "1.0.0+b"]
const qualifiers = { vcs_url: "git+https://host.example/a" }
const ofPurl = stringify({ type, name, version, qualifiers })
const ofPackageUrl = new PackageURL(type, undefined, name, version, qualifiers, undefined).toString()
const text = ({ qualifiers, version }) => `version ${version}, vcs_url ${qualifiers.vcs_url}`

const seen = [
  `purl writes ${ofPurl}`,
  `packageurl-js reads ${text(PackageURL.fromString(ofPurl))}`,
  `packageurl-js writes ${ofPackageUrl}`,
  `purl reads ${text(parse(ofPackageUrl))}`,
  `normalized: ${normalize(ofPackageUrl)} of purl`,
  `normalized: ${PackageURL.fromString(ofPackageUrl)} of packageurl-js`
]
console.log(seen.join("\n"))
assert.deepEqual(seen, [
  "purl writes pkg:npm/a@1.0.0+b?vcs_url=git+https://host.example/a",
  "packageurl-js reads version 1.0.0+b, vcs_url git https://host.example/a",
  "packageurl-js writes pkg:npm/a@1.0.0+b?vcs_url=git%2Bhttps%3A%2F%2Fhost.example%2Fa",
  "purl reads version 1.0.0+b, vcs_url git+https://host.example/a",
  "normalized: pkg:npm/a@1.0.0+b?vcs_url=git+https://host.example/a of purl",
  "normalized: pkg:npm/a@1.0.0+b?vcs_url=git%2Bhttps%3A%2F%2Fhost.example%2Fa of packageurl-js"
], "the behaviour has changed")
JS
timeout 60 node_modules/.bin/node finding.mjs
