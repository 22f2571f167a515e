"""A CA, and certificates of one server that are wrong in every way. Made once; keys are small."""
import datetime
import ipaddress
import pathlib
import ssl
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    def __init__(self, folder, name):
        self.folder, self.name = pathlib.Path(folder), _name(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        self.cert = (x509.CertificateBuilder().subject_name(self.name).issuer_name(self.name)
                     .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                     .not_valid_before(now - 4000 * DAY).not_valid_after(now + 4000 * DAY)
                     .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                     .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True,
                                                  content_commitment=False, key_encipherment=False,
                                                  data_encipherment=False, key_agreement=False, encipher_only=False,
                                                  decipher_only=False), critical=True)
                     .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
                     .sign(self.key, hashes.SHA256()))
        self.pem = self.cert.public_bytes(serialization.Encoding.PEM).decode()
        self.path = self.folder / f"{name.replace(' ', '-').lower()}.pem"
        self.path.write_text(self.pem)

    def issue(self, kind, names, since=-2 * DAY, until=30 * DAY, itself=False):
        """(file of certificate and key); `itself`: signed by its own key."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow()
        alternatives = [x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
        made = (x509.CertificateBuilder().subject_name(_name(names[0]))
                .issuer_name(_name(names[0]) if itself else self.name).public_key(key.public_key())
                .serial_number(x509.random_serial_number()).not_valid_before(now + since).not_valid_after(now + until)
                .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                .sign(key if itself else self.key, hashes.SHA256()))
        path = self.folder / f"{kind}.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + _pem(key))
        return path


def contexts(folder, names):
    """(the CA, {kind: server-side TLS context})."""
    good, other = Authority(folder, "Lab CA"), Authority(folder, "Somebody Else CA")
    files = {
        "good": good.issue("good", names),
        "expired": good.issue("expired", names, since=-60 * DAY, until=-2 * DAY),
        "not_yet": good.issue("not_yet", names, since=20 * DAY, until=60 * DAY),
        "wrong_name": good.issue("wrong_name", ["somewhere.else.example"]),
        "self_signed": good.issue("self_signed", names, itself=True),
        "other_ca": other.issue("other_ca", names),
    }
    made = {}
    for kind, path in files.items():
        made[kind] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made[kind].load_cert_chain(path)
    old = made["old_tls"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.load_cert_chain(files["good"])
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    return good, made
