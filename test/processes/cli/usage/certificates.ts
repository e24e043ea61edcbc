/** Certificates. */
import type { WrongUsage } from "./WrongUsage.ts"

export const certificates: WrongUsage = {
  "cert ca": [
    [["cert", "ca"], /Missing required flag: --cluster/],
    [["cert", "ca", "--cluster", "my cluster"], /"my cluster" is no name of a cluster: it needs 1 to 64 letters/],
    [["cert", "ca", "--cluster", "prod", "--days", "0"], /--days 0 is not from 1 to 36500/],
    [["cert", "ca", "--cluster", "prod", "--certs-dir", ""], /--certs-dir is empty/]
  ],
  "cert node": [
    [["cert", "node"], /Missing required argument: id/],
    [["cert", "node", "0"], /0 is no node id/],
    [["cert", "node", "one"], /"one"/],
    [
      ["cert", "node", "1", "--certs-dir", "nowhere"],
      /there is no authority in nowhere: make one with flaredb cert ca/
    ],
    [["cert", "node", "1", "--renew-within", "30"], /a duration with its unit: 30s for seconds/]
  ],
  "cert client": [
    [["cert", "client"], /Missing required argument: name/],
    [["cert", "client", "a", "b"], /"b"/],
    [["cert", "client", "a", "--days", "40000"], /--days 40000 is not from 1 to 36500/],
    [["cert", "client", "a", "--certs-dir", "nowhere"], /there is no authority in nowhere/]
  ],
  "cert show": [
    [["cert", "show"], /Missing required argument: source/],
    [["cert", "show", ""], /the source is empty; give a file, or HOST:PORT/],
    [["cert", "show", "nowhere.crt"], /there is no file nowhere.crt; give one in PEM form, or HOST:PORT of a node/],
    [["cert", "show", "src"], /src is a folder; name a certificate in it, a file in PEM form/],
    [["cert", "show", "a:1", "--timeout", "2m"], /--timeout 2m is not from 1ms to 1m/]
  ],
  "cert check": [
    [["cert", "check", "all"], /"all"/],
    [["cert", "check", "--certs-dir", ""], /--certs-dir is empty/],
    [["cert", "check", "--certs-dir", "package.json"], /--certs-dir package.json is a file; name a folder/],
    [["cert", "check", "--nodes", "here"], /"here" is not ID=HOST:CLIENT:PEER:HTTP/],
    [["cert", "check", "--expires-within", "30"], /a duration with its unit/]
  ],
  "cert rotate-ca begin": [
    [["cert", "rotate-ca", "begin", "now"], /"now"/],
    [["cert", "rotate-ca", "begin", "--days", "0"], /--days 0 is not from 1 to 36500/],
    [["cert", "rotate-ca", "begin", "--certs-dir", "nowhere"], /there is no authority in nowhere/]
  ],
  "cert rotate-ca reissue": [
    [["cert", "rotate-ca", "reissue", "now"], /"now"/],
    [["cert", "rotate-ca", "reissue", "--days", "x"], /--days: "x"/],
    [["cert", "rotate-ca", "reissue", "--certs-dir", "nowhere"], /there is no authority in nowhere/]
  ],
  "cert rotate-ca finish": [
    [["cert", "rotate-ca", "finish", "now"], /"now"/],
    [["cert", "rotate-ca", "finish", "--endpoints", "localhost"], /"localhost" is not an endpoint/],
    [["cert", "rotate-ca", "finish", "--timeout", "0"], /--timeout 0ms is not from 1ms to 1m/],
    [["cert", "rotate-ca", "finish", "--certs-dir", "nowhere"], /there is no authority in nowhere/]
  ]
}
