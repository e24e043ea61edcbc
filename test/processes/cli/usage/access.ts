/** Roles, users and tokens. */
import type { WrongUsage } from "./WrongUsage.ts"

export const access: WrongUsage = {
  "access role put": [
    [["access", "role", "put"], /Missing required argument: name/],
    [["access", "role", "put", "a"], /the role would allow nothing; give --read, --write or --admin/],
    [["access", "role", "put", "a", "--read", "a/,"], /--read "a\/," has an empty part/],
    [["access", "role", "put", "a", "--write", "xyz", "--encoding", "hex"], /the prefix of --write "xyz" is not/],
    [["access", "role", "put", "no name", "--admin"], /invalid name: "[^"]*" is not 1 to 64 letters/]
  ],
  "access role delete": [
    [["access", "role", "delete"], /Missing required argument: name/],
    [["access", "role", "delete", "admin"], /invalid name: admin is built in/],
    [["access", "role", "delete", "a", "b"], /"b"/]
  ],
  "access role list": [
    [["access", "role", "list", "all"], /"all"/],
    [["access", "role", "list", "--encoding", "morse"], /"morse"/],
    [["access", "role", "list", "--limit", "1"], /--limit/]
  ],
  "access user put": [
    [["access", "user", "put"], /Missing required argument: name/],
    [["access", "user", "put", "a", "--role", "b,,c"], /--role "b,,c" has an empty part/],
    [["access", "user", "put", "a", "--max-leases", "many"], /--max-leases: "many"/],
    [["access", "user", "put", "a", "--max-sessions", "-1"], /invalid maxSessions: -1 is not an integer/]
  ],
  "access user delete": [
    [["access", "user", "delete"], /Missing required argument: name/],
    [["access", "user", "delete", ""], /invalid name: "[^"]*" is not 1 to 64 letters/],
    [["access", "user", "delete", "a", "b"], /"b"/]
  ],
  "access user list": [
    [["access", "user", "list", "all"], /"all"/],
    [["access", "user", "list", "--timeout", "soon"], /--timeout: "soon"/],
    [["access", "user", "list", "--role", "a"], /--role/]
  ],
  "access token create": [
    [["access", "token", "create"], /Missing required argument: name/],
    [["access", "token", "create", "a", "--expires", "90"], /a duration with its unit/],
    [["access", "token", "create", "a", "--expires", "0"], /--expires is not above 0/],
    [["access", "token", "create", "a", "--expires", "99999999d"], /--expires is more than 36500d; leave it out/],
    [["access", "token", "create", "no name"], /invalid user: "no name" is not 1 to 64 letters/]
  ],
  "access token remove": [
    [["access", "token", "remove", "a"], /Missing required argument: id/],
    [["access", "token", "remove", "a", "0"], /0 is no number of a token/],
    [["access", "token", "remove", "a", "x"], /"x"/]
  ],
  "access whoami": [
    [["access", "whoami", "me"], /"me"/],
    [["access", "whoami", "-e", "localhost"], /the port is missing/],
    [["access", "whoami", "--timeout", "0"], /--timeout 0ms is not from/]
  ]
}
