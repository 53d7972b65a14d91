// A reader on Node's own crypto (24.7 or newer, for Argon2), written from docs/vault-format.md alone.
//     node reader.mjs FOLDER    opens every vector in it and prints {name: outcome} as JSON
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";

class Refused extends Error {}

function need(holds, otherwise) {
  if (!holds) throw new Refused(otherwise);
}

function stretch(kdf, p1, p2, p3, password, salt) {
  const message = Buffer.from(password.normalize("NFKC"), "utf8");
  if (kdf === 1) return crypto.pbkdf2Sync(message, salt, p1, 32, "sha256");
  return crypto.argon2Sync("argon2id", { message, nonce: salt, parallelism: p3, tagLength: 32, memory: p2, passes: p1 });
}

const hmac = (key, ...parts) => crypto.createHmac("sha256", key).update(Buffer.concat(parts)).digest();
const expand = (prk, purpose) => hmac(prk, Buffer.from(`onb-vault/1 ${purpose}`), Buffer.from([1]));

function decrypted(key, data) {
  const gcm = crypto.createDecipheriv("aes-256-gcm", key, data.subarray(80, 92), { authTagLength: 16 });
  gcm.setAAD(data.subarray(0, 128));
  gcm.setAuthTag(data.subarray(-16));
  try {
    return Buffer.concat([gcm.update(data.subarray(128, -16)), gcm.final()]);
  } catch {
    throw new Refused("auth");
  }
}

function open(data, password) {
  need(data.subarray(0, 8).equals(Buffer.from("ONBVAULT")) && data[8] === 1, "format");
  need(data.length > 128 && data.length <= 1048576 && data[10] === 1 && data[11] === 0, "format");
  const [p1, p2, p3, n] = [12, 16, 20, 92].map((at) => data.readUInt32BE(at));
  need(n === data.length - 128 && n > 16 && n % 1024 === 16, "format");
  const pbkdf2 = data[9] === 1 && p1 >= 100000 && p1 <= 10000000 && p2 === 0 && p3 === 0;
  const within = p1 >= 2 && p1 <= 20 && p2 >= 19456 && p2 <= 1048576 && p3 >= 1 && p3 <= 16;
  need(pbkdf2 || (data[9] === 2 && within && p1 * p2 <= 4194304), "format");
  const prk = stretch(data[9], p1, p2, p3, password, data.subarray(48, 80));
  const commitment = hmac(expand(prk, "commit"), data.subarray(0, 96));
  need(crypto.timingSafeEqual(commitment, data.subarray(96, 128)), "auth");
  const plain = decrypted(expand(prk, "enc"), data);
  const end = 4 + plain.readUInt32BE(0);
  need(plain.length === Math.ceil(end / 1024) * 1024 && plain.subarray(end).every((byte) => byte === 0), "auth");
  return plain.subarray(4, end).toString("utf8");
}

function outcome(data, password) {
  try {
    return `success ${open(data, password)}`;
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
}

const folder = process.argv[2];
const found = {};
for (const { name, password } of JSON.parse(fs.readFileSync(path.join(folder, "kat.json"), "utf8")))
  found[name] = outcome(fs.readFileSync(path.join(folder, `${name}.onbv`)), password);
for (const name of fs.readdirSync(folder).filter((file) => file.endsWith(".txt"))) {
  const [head, ...body] = fs.readFileSync(path.join(folder, name), "utf8").split("\n\n");
  const password = /^password: (.*)$/m.exec(head)[1];
  found[path.parse(name).name] = outcome(Buffer.from(body.join(""), "base64"), password);
}
console.log(JSON.stringify(found));
