/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY 86400
#define YEAR (365 * DAY)

struct made {                            /* one key with its certificate */
	EVP_PKEY *key;
	X509 *crt;
};

static void made_free(struct made *m)
{
	EVP_PKEY_free(m->key);
	X509_free(m->crt);
}

/* Whatever it is that the library refused, it may have been for want of memory: the oldest of its errors says so. */
static int fail(int err, char why[KEYS_WHY], const char *path, const char *what)
{
	if (ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE) {
		err = -ENOMEM;
		what = strerror(ENOMEM);
	}
	snprintf(why, KEYS_WHY, "%s: %s", path, what);
	return err;
}

static int library_failed(char why[KEYS_WHY], const char *path)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	return fail(-EIO, why, path, reason ? reason : "the library for certificates failed");
}

bool keys_name_valid(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(name);

	return len && len < 64 && strspn(name, letters) == len && !strchr("._-", *name) && strcmp(name, "ca") != 0;
}

/* ---- certificates ---- */

static bool extend(X509 *crt, X509 *issuer, int id, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	bool done;

	X509V3_set_ctx(&ctx, issuer, crt, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, id, value);
	done = e && X509_add_ext(crt, e, -1) == 1;
	X509_EXTENSION_free(e);
	return done;
}

/* Random, as nobody keeps count: 159 bits, positive. */
static bool number(X509 *crt)
{
	BIGNUM *n = BN_new();
	bool done = n && BN_rand(n, 159, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(crt));

	BN_free(n);
	return done;
}

static bool name_it(X509 *crt, const char *name)
{
	return X509_NAME_add_entry_by_txt(X509_get_subject_name(crt), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0) == 1;
}

static bool valid_up_to(X509 *crt, time_t until)
{
	time_t now = time(NULL);

	return ASN1_TIME_set(X509_getm_notBefore(crt), now - DAY) && ASN1_TIME_set(X509_getm_notAfter(crt), until ? until : now + (time_t)KEYS_YEARS * YEAR);
}

/* A key and what every certificate has. */
static bool begin(struct made *m, const char *name, time_t until)
{
	m->key = EVP_EC_gen("P-256");
	m->crt = X509_new();
	return m->key && m->crt && X509_set_version(m->crt, X509_VERSION_3) && number(m->crt) && name_it(m->crt, name) &&
		valid_up_to(m->crt, until) && X509_set_pubkey(m->crt, m->key);
}

/* The CA's name is random too, so that another cluster's is told apart by it. */
static bool make_ca(struct made *ca)
{
	unsigned char random[8];
	char name[40] = "mqfs CA ";

	if (RAND_bytes(random, sizeof random) != 1)
		return false;
	for (size_t i = 0; i < sizeof random; i++)
		snprintf(name + 8 + 2 * i, 3, "%02x", random[i]);
	return begin(ca, name, 0) && X509_set_issuer_name(ca->crt, X509_get_subject_name(ca->crt)) &&
		extend(ca->crt, ca->crt, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
		extend(ca->crt, ca->crt, NID_key_usage, "critical,keyCertSign,cRLSign") &&
		extend(ca->crt, ca->crt, NID_subject_key_identifier, "hash") && X509_sign(ca->crt, ca->key, EVP_sha256()) > 0;
}

/* No longer than the CA, so that what a certificate says of its end is true. */
static bool within(X509 *crt, const X509 *ca)
{
	return ASN1_TIME_compare(X509_get0_notAfter(crt), X509_get0_notAfter(ca)) <= 0 || X509_set1_notAfter(crt, X509_get0_notAfter(ca));
}

static bool make_node(struct made *m, const struct made *ca, const char *name, time_t until)
{
	char uri[128];

	snprintf(uri, sizeof uri, "URI:" KEYS_URI "%s", name);
	return begin(m, name, until) && within(m->crt, ca->crt) && X509_set_issuer_name(m->crt, X509_get_subject_name(ca->crt)) &&
		extend(m->crt, ca->crt, NID_basic_constraints, "critical,CA:FALSE") &&
		extend(m->crt, ca->crt, NID_key_usage, "critical,digitalSignature") &&
		extend(m->crt, ca->crt, NID_ext_key_usage, "serverAuth,clientAuth") &&
		extend(m->crt, ca->crt, NID_subject_alt_name, uri) &&
		extend(m->crt, ca->crt, NID_subject_key_identifier, "hash") &&
		extend(m->crt, ca->crt, NID_authority_key_identifier, "keyid:always") && X509_sign(m->crt, ca->key, EVP_sha256()) > 0;
}

/* ---- files ---- */

static int path_of(char to[PATH_MAX], const char *dir, const char *name, const char *ending, char why[KEYS_WHY])
{
	if (snprintf(to, PATH_MAX, "%s/%s%s", dir, name, ending) < PATH_MAX)
		return 0;
	snprintf(why, KEYS_WHY, "%.200s...: the path is too long", dir);
	return -ENAMETOOLONG;
}

static int write_all(int fd, const char *from, size_t len)
{
	while (len) {
		ssize_t n = write(fd, from, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			from += n;
			len -= (size_t)n;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* A new file of what MEM holds; none is left when that fails. */
static int write_new(const char *path, mode_t mode, BIO *mem, char why[KEYS_WHY])
{
	char *bytes;
	long len = BIO_get_mem_data(mem, &bytes);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode), err;

	if (fd < 0 && errno == EEXIST)
		return fail(-EEXIST, why, path, "is there already, and is not overwritten");
	if (fd < 0)
		return fail(-errno, why, path, strerror(errno));
	err = fchmod(fd, mode) < 0 ? -errno : write_all(fd, bytes, (size_t)len);
	if (close(fd) < 0 && !err)
		err = -errno;
	if (!err)
		return 0;
	unlink(path);
	return fail(err, why, path, strerror(-err));
}

static int sync_directory(const char *dir, char why[KEYS_WHY])
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0 || fsync(fd) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err ? fail(err, why, dir, strerror(-err)) : 0;
}

/* DIR/NAME.key and DIR/NAME.crt, both or none. */
static int save(const struct made *m, const char *dir, const char *name, char why[KEYS_WHY])
{
	char key[PATH_MAX], crt[PATH_MAX];
	BIO *key_pem = BIO_new(BIO_s_secmem()), *crt_pem = BIO_new(BIO_s_mem());
	int err = path_of(key, dir, name, ".key", why);

	if (!err)
		err = path_of(crt, dir, name, ".crt", why);
	if (!err && (!key_pem || !crt_pem || !PEM_write_bio_PKCS8PrivateKey(key_pem, m->key, NULL, NULL, 0, NULL, NULL) ||
	    !PEM_write_bio_X509(crt_pem, m->crt)))
		err = library_failed(why, dir);
	if (!err)
		err = write_new(key, 0600, key_pem, why);
	if (!err) {
		err = write_new(crt, 0644, crt_pem, why);
		if (err)
			unlink(key);
	}
	if (!err)
		err = sync_directory(dir, why);
	BIO_free(key_pem);
	BIO_free(crt_pem);
	return err;
}

static int no_password(char *to, int room, int writing, void *ctx)
{
	(void)to, (void)room, (void)writing, (void)ctx;
	return -1;
}

static int load_ca(struct made *ca, const char *dir, char why[KEYS_WHY])
{
	char crt[PATH_MAX], key[PATH_MAX];
	FILE *file;
	int err = path_of(crt, dir, "ca", ".crt", why);

	if (!err)
		err = path_of(key, dir, "ca", ".key", why);
	if (err)
		return err;
	file = fopen(crt, "re");
	if (!file)
		return fail(-errno, why, crt, errno == ENOENT ? "there is none; \"mqctl keys init\" makes a CA" : strerror(errno));
	ca->crt = PEM_read_X509(file, NULL, no_password, NULL);
	fclose(file);
	if (!ca->crt)
		return fail(-EINVAL, why, crt, "is no certificate");
	file = fopen(key, "re");
	if (!file)
		return fail(-errno, why, key, strerror(errno));
	ca->key = PEM_read_PrivateKey(file, NULL, no_password, NULL);
	fclose(file);
	if (!ca->key)
		return fail(-EINVAL, why, key, "is no private key, or one with a password");
	if (X509_check_private_key(ca->crt, ca->key) != 1)
		return fail(-EINVAL, why, key, "is not the key of ca.crt");
	if (X509_check_ca(ca->crt) != 1)
		return fail(-EINVAL, why, crt, "is no CA's certificate");
	if (X509_cmp_current_time(X509_get0_notAfter(ca->crt)) < 0)
		return fail(-EINVAL, why, crt, "has expired");
	return 0;
}

int keys_init(const char *dir, char why[KEYS_WHY])
{
	struct made ca = {0};
	bool made = mkdir(dir, 0700) == 0;
	int err = 0;

	ERR_clear_error();
	if (!made && errno != EEXIST)
		return fail(-errno, why, dir, strerror(errno));
	if (!make_ca(&ca))
		err = library_failed(why, dir);
	if (!err)
		err = save(&ca, dir, "ca", why);
	if (err && made)
		rmdir(dir);
	made_free(&ca);
	ERR_clear_error();
	return err;
}

int keys_node(const char *dir, const char *name, time_t until, char why[KEYS_WHY])
{
	struct made ca = {0}, node = {0};
	int err;

	ERR_clear_error();
	if (!keys_name_valid(name)) {
		snprintf(why, KEYS_WHY, "\"%.100s\": a node's name is 1 to 63 letters, digits, '.', '_' or '-', begins with a letter or digit, and is not \"ca\"",
			name);
		return -EINVAL;
	}
	err = load_ca(&ca, dir, why);
	if (!err && !make_node(&node, &ca, name, until))
		err = library_failed(why, dir);
	if (!err)
		err = save(&node, dir, name, why);
	made_free(&ca);
	made_free(&node);
	ERR_clear_error();
	return err;
}
