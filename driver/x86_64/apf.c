// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * apf.c - asynchronous page faults: while Linux brings in a page that has to be
 * waited for, the guest is told and does something else, or at least takes its
 * interrupts in a halt.
 *
 * Owns: vcpu.arch.apf, the workers, struct fault. Invariant: a fault belongs to
 * its vCPU until it is told or dropped; one that is dropped while its worker is
 * at it belongs to the worker alone, which knows no vCPU then, so nobody waits
 * for a worker but the module's end. The VMM's memory lives as long as a worker.
 * Called by: map.c, msr.c, mp.c, apic.c. Concurrency: v->lock, and `lock` below
 * for what a worker shares with it.
 * See: Documentation/virt/kvm/x86/msr.rst, MSR_KVM_ASYNC_PF_*.
 */
#include <linux/kvm_para.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <asm/processor-flags.h>

#include "tenon.h"

#define FAULTS_PER_VCPU 64u	/* as KVM's */
#define FAULTS_TOTAL 256u	/* each has a worker at once: a VMM that never gives its pages delays no other's */
#define RESERVED 0x30ull
#define PLACE (~0x3full)	/* of the shared words */
#define ON (KVM_ASYNC_PF_ENABLED | KVM_ASYNC_PF_DELIVERY_AS_INT)
#define TOKEN_ALL 0xffffffffu
#define TOKEN_SHIFT 12		/* the vCPU's number is below */
#define VECTOR_PF 14u

struct fault {
	struct work_struct work;
	struct list_head waiting;	/* vcpu.arch.apf.waiting */
	struct list_head ready;		/* vcpu.arch.apf.ready */
	struct vcpu *v;			/* whom the worker tells; NULL: it has, or nobody wants to know. `lock` */
	struct mm_struct *mm;		/* a user of it, until the worker is through */
	unsigned long hva;
	u64 gfn;
	u32 token;
	bool may_write;			/* the slot is writable */
	bool told;			/* the guest got the #PF, and wants to hear the token again */
};

static DEFINE_SPINLOCK(lock);
static struct workqueue_struct *workers;
static atomic_t total;

/* ---- what the guest shares ---- */

static bool is_on(const struct vcpu *v)
{
	return (v->arch.apf.control & ON) == ON;
}

/* The slot of the shared words, if it can be written. vm.srcu held. */
static struct slot *shared_slot(struct vcpu *v)
{
	struct slot *slot = slot_find(v->vm, (v->arch.apf.control & PLACE) >> PAGE_SHIFT);

	return slot && !(slot->flags & KVM_MEM_READONLY) ? slot : NULL;
}

static int shared_put(struct vcpu *v, u32 offset, u32 value)
{
	int idx = srcu_read_lock(&v->vm->srcu);
	struct slot *slot = shared_slot(v);
	int rc = slot ? slot_write(slot, (v->arch.apf.control & PLACE) + offset, &value, sizeof(value)) : -EFAULT;

	srcu_read_unlock(&v->vm->srcu, idx);
	return rc;
}

/* Has the guest read the last token? */
static bool token_free(struct vcpu *v)
{
	const u32 offset = offsetof(struct kvm_vcpu_pv_apf_data, token);
	int idx = srcu_read_lock(&v->vm->srcu);
	struct slot *slot = shared_slot(v);
	u32 token = TOKEN_ALL;

	if (slot && slot_read(slot, (v->arch.apf.control & PLACE) + offset, &token, sizeof(token)))
		token = TOKEN_ALL;
	srcu_read_unlock(&v->vm->srcu, idx);
	return !token;
}

static bool shared_exists(struct vcpu *v)
{
	int idx = srcu_read_lock(&v->vm->srcu);
	bool exists = shared_slot(v);

	srcu_read_unlock(&v->vm->srcu, idx);
	return exists;
}

/* ---- the workers ---- */

static void fault_free(struct fault *f)
{
	atomic_dec(&total);
	kfree(f);
}

/* The page is there, or cannot be had: the guest's next access shows which. */
static void worker_done(struct fault *f)
{
	struct vcpu *v;

	spin_lock(&lock);
	v = f->v;
	if (v) {
		f->v = NULL;
		list_add_tail(&f->ready, &v->arch.apf.ready);
		vcpu_request(v, REQUEST_PAGE_READY);
	}
	spin_unlock(&lock);
	/* If there was a vCPU, the fault is its own again, and may be gone. */
	if (!v)
		fault_free(f);
}

/*
 * Not by get_user_pages_remote(): while a userfaultfd is being closed, that goes round
 * and round with the lock that the close waits for (until Linux 6.15), and a worker
 * cannot be killed.
 */
static bool fault_in(struct mm_struct *mm, unsigned long hva, unsigned int flags)
{
	bool unlocked;
	int rc;

	mmap_read_lock(mm);
	rc = fixup_user_fault(mm, hva, flags, &unlocked);
	mmap_read_unlock(mm);
	return !rc;
}

static void worker(struct work_struct *work)
{
	struct fault *f = container_of(work, struct fault, work);
	struct mm_struct *mm = f->mm;

	/* Writable where that may be: see page_is_blank() in map.c. */
	if (!f->may_write || !fault_in(mm, f->hva, FAULT_FLAG_WRITE))
		fault_in(mm, f->hva, 0);
	worker_done(f);
	mmput(mm);
}

static u32 token_next(struct vcpu *v)
{
	struct vcpu_apf *a = &v->arch.apf;

	/* Never 0, which says that there is none. */
	if (!(a->serial << TOKEN_SHIFT))
		a->serial = 1;
	return a->serial++ << TOKEN_SHIFT | v->id;
}

/* NULL: this one has to be waited for. No waiting for memory, which would be no gain. */
static struct fault *fault_make(struct vcpu *v, u64 gfn, unsigned long hva, bool may_write)
{
	struct fault *f;

	if (v->arch.apf.count >= FAULTS_PER_VCPU || !atomic_add_unless(&total, 1, FAULTS_TOTAL))
		return NULL;
	f = kzalloc(sizeof(*f), GFP_NOWAIT | __GFP_NOWARN | __GFP_ACCOUNT);
	if (!f) {
		atomic_dec(&total);
		return NULL;
	}
	INIT_WORK(&f->work, worker);
	f->v = v;
	f->mm = current->mm;
	mmget(f->mm);
	f->hva = hva;
	f->gfn = gfn;
	f->may_write = may_write;
	f->token = token_next(v);
	list_add_tail(&f->waiting, &v->arch.apf.waiting);
	v->arch.apf.count++;
	return f;
}

/* Off its vCPU's lists. */
static void fault_unlink(struct vcpu *v, struct fault *f)
{
	list_del(&f->waiting);
	v->arch.apf.count--;
}

/* Nobody is to hear of it. */
static void fault_drop(struct vcpu *v, struct fault *f)
{
	struct mm_struct *mm = f->mm;
	bool ours;

	fault_unlink(v, f);
	/* Its worker has not begun, and will not. */
	if (cancel_work(&f->work)) {
		fault_free(f);
		mmput(mm);
		return;
	}
	spin_lock(&lock);
	ours = !f->v;
	if (ours)
		list_del(&f->ready);
	f->v = NULL;
	spin_unlock(&lock);
	if (ours)
		fault_free(f);
}

static void drop_all(struct vcpu *v)
{
	struct fault *f, *next;

	v->arch.apf.broadcast = false;
	/* A vCPU that was never made has no lists. */
	if (!v->arch.apf.count)
		return;
	list_for_each_entry_safe(f, next, &v->arch.apf.waiting, waiting)
		fault_drop(v, f);
	/* It may have waited for one of them: see mp_wait_for_page(). */
	if (v->arch.mp_state == KVM_MP_STATE_RUNNABLE)
		clear_bit(REQUEST_STATE, &v->arch.requests);
}

/* ---- "page not present" ---- */

/* KVM's rule for any wait: interrupts are open, and nothing is on its way into the guest. */
static bool may_go_on(const struct vcpu *v)
{
	return vcpu_has_lapic(v) && v->exit->out.ready;
}

static bool may_tell(const struct vcpu *v)
{
	const struct exit_state *out = &v->exit->out;

	return is_on(v) && (out->cpl || v->arch.apf.control & KVM_ASYNC_PF_SEND_ALWAYS) && out->cr0 & X86_CR0_PG;
}

static bool tell_absent(struct vcpu *v, u32 token)
{
	struct exit_resume *in = &v->exit->in;

	if (!may_tell(v) || shared_put(v, offsetof(struct kvm_vcpu_pv_apf_data, flags), KVM_PV_REASON_PAGE_NOT_PRESENT))
		return false;
	in->inject_vector = VECTOR_PF;
	in->inject_has_error = 1;
	in->inject_error = 0;
	in->inject_cr2 = token;
	in->flags |= RESUME_INJECT;
	return true;
}

static bool is_waiting(const struct vcpu *v, u64 gfn)
{
	const struct fault *f;

	list_for_each_entry(f, &v->arch.apf.waiting, waiting) {
		if (f->gfn == gfn)
			return true;
	}
	return false;
}

bool apf_begin(struct vcpu *v, u64 gfn, unsigned long hva, bool may_write)
{
	struct fault *f;

	if (!may_go_on(v))
		return false;
	/* Come back too early: nothing else can be done. */
	if (is_waiting(v, gfn)) {
		mp_wait_for_page(v);
		return true;
	}
	f = fault_make(v, gfn, hva, may_write);
	if (!f)
		return false;
	f->told = tell_absent(v, f->token);
	if (!f->told)
		mp_wait_for_page(v);
	queue_work(workers, &f->work);
	return true;
}

/* ---- "page ready" ---- */

static bool may_tell_ready(struct vcpu *v)
{
	return !is_on(v) || (lapic_enabled(&v->arch.lapic) && token_free(v));
}

static void tell_ready(struct vcpu *v, u32 token)
{
	if (is_on(v) && !shared_put(v, offsetof(struct kvm_vcpu_pv_apf_data, token), token))
		lapic_post(&v->arch.lapic, v->arch.apf.vector, false);
}

static void tell_next(struct vcpu *v)
{
	struct fault *f;

	if (v->arch.apf.broadcast) {
		v->arch.apf.broadcast = false;
		tell_ready(v, TOKEN_ALL);
		return;
	}
	spin_lock(&lock);
	f = list_first_entry(&v->arch.apf.ready, struct fault, ready);
	list_del(&f->ready);
	spin_unlock(&lock);
	if (f->told)
		tell_ready(v, f->token);
	fault_unlink(v, f);
	fault_free(f);
}

void apf_tell_ready(struct vcpu *v)
{
	while (apf_pending(&v->arch.apf) && may_tell_ready(v))
		tell_next(v);
}

void apf_lapic_changed(struct vcpu *v)
{
	if (apf_pending(&v->arch.apf))
		set_bit(REQUEST_PAGE_READY, &v->arch.requests);
}

/* ---- registers ---- */

/* KVM's checks in KVM's order: the value stays even if there is no memory at its place. */
static int write_control(struct vcpu *v, u64 value)
{
	if (value & RESERVED)
		return MSR_BAD;
	if (value & KVM_ASYNC_PF_DELIVERY_AS_PF_VMEXIT && options_pv_denied(v, KVM_FEATURE_ASYNC_PF_VMEXIT))
		return MSR_BAD;
	if (value & KVM_ASYNC_PF_DELIVERY_AS_INT && options_pv_denied(v, KVM_FEATURE_ASYNC_PF_INT))
		return MSR_BAD;
	if (!vcpu_has_lapic(v))
		return value ? MSR_BAD : 0;
	v->arch.apf.control = value;
	if (!is_on(v)) {
		drop_all(v);
		return 0;
	}
	if (!shared_exists(v))
		return MSR_BAD;
	/* The guest may have come from a machine whose faults ended with it. */
	if (!apf_pending(&v->arch.apf)) {
		v->arch.apf.broadcast = true;
		set_bit(REQUEST_PAGE_READY, &v->arch.requests);
	}
	return 0;
}

static int write_vector(struct vcpu *v, u64 value)
{
	if (value & ~KVM_ASYNC_PF_VEC_MASK || !vcpu_has_lapic(v))
		return MSR_BAD;
	v->arch.apf.vector = value;
	return 0;
}

static bool denied(const struct vcpu *v, u32 msr)
{
	return options_pv_denied(v, msr == MSR_KVM_ASYNC_PF_EN ? KVM_FEATURE_ASYNC_PF : KVM_FEATURE_ASYNC_PF_INT);
}

int apf_read(struct vcpu *v, u32 msr, u64 *value)
{
	if (denied(v, msr))
		return MSR_UNKNOWN;
	if (msr == MSR_KVM_ASYNC_PF_EN)
		*value = v->arch.apf.control;
	else
		*value = msr == MSR_KVM_ASYNC_PF_INT ? v->arch.apf.vector : 0;
	return 0;
}

int apf_write(struct vcpu *v, u32 msr, u64 value)
{
	if (denied(v, msr))
		return MSR_UNKNOWN;
	if (msr == MSR_KVM_ASYNC_PF_EN)
		return write_control(v, value);
	if (msr == MSR_KVM_ASYNC_PF_INT)
		return write_vector(v, value);
	/* MSR_KVM_ASYNC_PF_ACK: the guest can take the next one. */
	if (value & 1)
		apf_tell_ready(v);
	return 0;
}

/* ---- coming and going ---- */

void apf_reset(struct vcpu *v)
{
	v->arch.apf.control = 0;
	v->arch.apf.vector = 0;
	drop_all(v);
}

void apf_init_vcpu(struct vcpu *v)
{
	INIT_LIST_HEAD(&v->arch.apf.waiting);
	INIT_LIST_HEAD(&v->arch.apf.ready);
}

int apf_init(void)
{
	workers = alloc_workqueue("tenon-fault", WQ_UNBOUND, FAULTS_TOTAL);
	return workers ? 0 : -ENOMEM;
}

/* Ends with the last worker: none of them may run in a module that is gone. */
void apf_exit(void)
{
	destroy_workqueue(workers);
}
