# Reads a netplan version 2 network-config that is written as JSON (which is YAML too), and prints for each entry of
# `ethernets`: MAC, address with prefix, gateway or -, resolvers joined by commas or -.
{ text = text $0 "\n" }
function entry_ends() {
  if (mac != "" && address != "")
    print mac, address, (gateway == "" ? "-" : gateway), (dns == "" ? "-" : dns)
}
function value(v) {
  if (key == "macaddress") mac = tolower(v)
  else if (key == "via" || key == "gateway4") gateway = v
  else if (key == "addresses" && v ~ /\//) { if (address == "") address = v }
  else if (key == "addresses") dns = dns (dns == "" ? "" : ",") v
}
END {
  depth = 0
  word = ""
  for (i = 1; i <= length(text); i++) {
    c = substr(text, i, 1)
    if (quoted) {
      if (c == "\"") { quoted = 0; have = 1 } else word = word c
      continue
    }
    if (c == "\"") { quoted = 1; word = "" }
    else if (c == ":") { key = word; have = 0 }
    else if (c == "{") {
      # version 2 may be wrapped in `network:`; entries are the children of `ethernets`.
      depth++
      if (key == "ethernets" && !inside) inside = depth
      else if (inside && depth == inside + 1) { mac = address = gateway = dns = "" }
    }
    else if (c == "," || c == "]" || c == "}") {
      if (have) { value(word); have = 0 }
      if (c == "}") {
        if (inside && depth == inside + 1) entry_ends()
        if (depth == inside) inside = 0
        depth--
      }
    }
  }
}
