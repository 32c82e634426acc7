import math
from collections.abc import Mapping
from typing import Any, ClassVar
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from tasks.encoding.image import ImageEncoder
from tasks.generators.base import DataGenerator, Recipe
from tasks.params import Record

class VaeParams(Record):
    latent_dim: int = 16
    channels: int = 32
    components: int = 5
    prior_components: int = 8
    dropout: float = 0.0
    beta: float = 1.0

class _Res(nn.Module):
    def __init__(self, ch, drop):
        super().__init__()
        self.c1=nn.Conv2d(ch,ch,3,padding=1); self.c2=nn.Conv2d(ch,ch,3,padding=1)
        self.n1=nn.GroupNorm(min(8,ch),ch); self.n2=nn.GroupNorm(min(8,ch),ch); self.d=nn.Dropout(drop)
    def forward(self,x):
        return x+self.c2(self.d(functional.silu(self.n2(self.c1(functional.silu(self.n1(x)))))))

class Vae(DataGenerator):
    Params = VaeParams
    encoder_class = ImageEncoder
    def __init__(self, encoder, params):
        super().__init__(encoder, params)
        p=params; self.p=p
        C,H,W=encoder.channels,encoder.height,encoder.width
        self.shape=(C,H,W); self.L=len(encoder.levels); self.K=len(encoder.labels)
        sizes=[(H,W)]
        while min(sizes[-1])>4: h,w=sizes[-1]; sizes.append(((h+1)//2,(w+1)//2))
        self.sizes=sizes
        chs=[min(p.channels*2**i,4*p.channels) for i in range(len(sizes))]
        self.stem=nn.Conv2d(C+1,chs[0],3,padding=1)
        self.emb=nn.Embedding(self.K,H*W)
        enc=[_Res(chs[0],p.dropout)]
        for a,b in zip(chs,chs[1:]): enc+=[nn.Conv2d(a,b,3,stride=2,padding=1),_Res(b,p.dropout)]
        self.enc=nn.Sequential(*enc)
        flat=chs[-1]*sizes[-1][0]*sizes[-1][1]
        D=p.latent_dim
        self.to_q=nn.Linear(flat,2*D)
        self.demb=nn.Embedding(self.K,32)
        self.from_z=nn.Linear(D+32,flat)
        dec=[_Res(chs[-1],p.dropout)]
        for i in range(len(sizes)-1,0,-1):
            dec+=[nn.Upsample(size=sizes[i-1],mode='nearest'),nn.Conv2d(chs[i],chs[i-1],3,padding=1),_Res(chs[i-1],p.dropout)]
        self.dec=nn.Sequential(*dec,nn.GroupNorm(min(8,chs[0]),chs[0]),nn.SiLU())
        M=p.components
        self.out=nn.Conv2d(chs[0],C*3*M,3,padding=1)
        b=torch.zeros(C,3,M); b[:,1]=torch.linspace(-1,1,M); b[:,2]=-1.5
        with torch.no_grad(): self.out.bias.copy_(b.flatten()); self.out.weight.mul_(.1)
        Kp=p.prior_components
        self.prior_w=nn.Parameter(torch.zeros(self.K,Kp)); self.prior_m=nn.Parameter(torch.randn(self.K,Kp,D)*.5); self.prior_s=nn.Parameter(torch.zeros(self.K,Kp,D))
        self.flat_shape=(chs[-1],*sizes[-1])
        self.register_buffer("freq",torch.from_numpy(encoder.label_counts/encoder.label_counts.sum()).float())
        self.drop=nn.Dropout(p.dropout)
    def posterior(self,x,y):
        e=self.emb(y).unflatten(1,(1,*self.shape[1:]))
        h=self.enc(self.stem(torch.cat([x,e],1))).flatten(1)
        m,s=self.to_q(h).chunk(2,1); return m,s.clamp(-6,2)
    def decoder(self,z,y):
        h=self.from_z(torch.cat([z,self.demb(y)],1)).unflatten(1,self.flat_shape)
        o=self.out(self.dec(h)).unflatten(1,(self.shape[0],3,self.p.components))
        return o[:,:,0],o[:,:,1],o[:,:,2].clamp(-6,3)  # (B,C,M,H,W)
    def log_prior(self,z,y):
        w=self.prior_w[y].log_softmax(-1); m=self.prior_m[y]; s=self.prior_s[y].clamp(-4,2)
        d=(z[:,None]-m)*(-s).exp()
        return torch.logsumexp(w+(-.5*d*d-s-.5*math.log(2*math.pi)).sum(-1),-1)
    def loglik(self,idx,w,m,s):
        step=2/(max(self.L-1,1)); v=(idx.to(m.dtype)*step-1)[:,:,None]
        inv=(-s).exp()
        up=(v+step/2-m)*inv; lo=(v-step/2-m)*inv
        big=torch.full_like(up,40.)
        i=idx[:,:,None]
        up=torch.where(i==self.L-1,big,up); lo=torch.where(i==0,-big,lo)
        # log(sig(up)-sig(lo)) stable
        lp=functional.logsigmoid(up)+functional.logsigmoid(-lo)+torch.log(-torch.expm1(-(up-lo).clamp(min=1e-5)))
        return torch.logsumexp(w.log_softmax(2)+lp,2)
    def forward(self,batch):
        idx=batch["pixels"].long(); y=batch["labels"].long()
        x=idx.float()*(2/max(self.L-1,1))-1
        m,s=self.posterior(x,y)
        eps=torch.randn_like(m) if self.training else torch.zeros_like(m)
        if not self.training:
            # a fixed draw
            g=torch.Generator().manual_seed(0); eps=torch.randn(m.shape,generator=g)
        z=m+s.exp()*eps
        logq=(-.5*eps*eps-s-.5*math.log(2*math.pi)).sum(1)
        ll=self.loglik(idx,*self.decoder(z,y)).sum((1,2,3))
        return -ll+self.p.beta*(logq-self.log_prior(z,y))
    @torch.no_grad()
    def sample(self,n,rng,conditions=None,labels=None):
        y=torch.multinomial(self.freq,n,replacement=True,generator=rng) if labels is None else labels
        c=torch.multinomial(self.prior_w[y].softmax(-1),1,generator=rng)[:,0]
        z=self.prior_m[y,c]+self.prior_s[y,c].clamp(-4,2).exp()*torch.randn(n,self.p.latent_dim,generator=rng)
        w,m,s=self.decoder(z,y)
        w=w.softmax(2).movedim(2,-1); sh=w.shape
        k=torch.multinomial(w.flatten(0,-2),1,generator=rng).view(sh[:-1]).unsqueeze(2)
        m=m.gather(2,k)[:,:,0]; s=s.gather(2,k)[:,:,0]
        u=torch.rand(m.shape,generator=rng).clamp(1e-6,1-1e-6)
        v=m+s.exp()*(u.log()-(-u).log1p())
        idx=((v+1)*(self.L-1)/2).round().clamp(0,self.L-1)
        return {"pixels":idx.to(torch.uint8),"labels":y.to(torch.uint8)}
    @classmethod
    def recipe(cls,n_rows): return Recipe(epochs=60,batch_size=64,learning_rate=2e-3,weight_decay=.01,patience=15,ema_decay=.995)
